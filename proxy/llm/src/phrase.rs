//! Errors in the client's own dialect: only error types and codes that the provider itself uses.
//! wire.md 4.1.12.
//!
//! Owns status, body and headers of an answer that Penstock gives itself, and the event that ends a stream
//! it cannot continue. Never says more than the problem it was given.

mod stream;
mod table;

use std::time::Duration;

use bytes::Bytes;
use penstock_proto::dialect::Dialect;
use serde::Serialize;

use crate::error::{ErrorFacts, MAX_MESSAGE, cut};

pub use stream::{StreamTail, stream_error};

/// What went wrong, apart from how a dialect says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request is wrong.
    InvalidRequest,
    /// The prompt is longer than the model takes.
    ContextLength,
    /// The body is larger than allowed.
    TooLarge,
    /// The body's content encoding is unknown.
    UnsupportedEncoding,
    /// There is no such route or object.
    NotFound,
    /// There is no such model, or not for this client.
    ModelNotFound,
    /// The client may not do this.
    Permission,
    /// The provider refuses the content.
    Policy,
    /// The client's own key is missing or wrong.
    Unauthenticated,
    /// Every account that could serve is limited.
    RateLimited,
    /// The provider is overloaded.
    Overloaded,
    /// The provider, or a slow client, took too long.
    Timeout,
    /// No account is usable: a person must repair one.
    Unavailable,
    /// The provider's answer was broken or no answer.
    BadGateway,
    /// The provider failed.
    Server,
    /// The route speaks HTTP only.
    UpgradeRequired,
}

/// A problem, ready to be phrased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub kind: ProblemKind,
    /// For people.
    pub message: String,
    /// More of it, one clause each; e.g. why each account cannot serve.
    pub details: Vec<String>,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
    /// The id by which the request is found: the provider's, else ours.
    pub request_id: Option<String>,
    /// Which field is wrong.
    pub param: Option<String>,
    /// The provider's own code, kept where the dialect has one.
    pub code: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// HTTP status.
    pub status: u16,
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// Further headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem with nothing but its kind and a message.
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
            retry_after: None,
            request_id: None,
            param: None,
            code: None,
        }
    }

    /// The problem that a provider's error is, for a client that has to be told. `status` is the
    /// provider's; `None` for an event in a stream.
    pub fn from_facts(status: Option<u16>, facts: &ErrorFacts) -> Self {
        let kind = table::recognise(status.or(facts.status), facts);
        let message = facts.message.clone().unwrap_or_else(|| kind.default_message().to_owned());
        Self {
            retry_after: facts.resets_in,
            request_id: facts.request_id.clone(),
            param: facts.param.clone(),
            code: facts.code.clone(),
            ..Self::new(kind, message)
        }
    }

    /// Message and details, within the size that clients are sent.
    pub(crate) fn text(&self) -> String {
        let mut text = self.message.clone();
        if !self.details.is_empty() {
            text = format!("{text} ({})", self.details.join("; "));
        }
        cut(&text, MAX_MESSAGE).to_owned()
    }
}

/// Phrases a problem as an answer to a client of this dialect; `None` is phrased like Chat Completions.
pub fn phrase(dialect: Option<Dialect>, problem: &Problem) -> ErrorAnswer {
    let mut headers = Vec::new();
    let anthropic = dialect == Some(Dialect::AnthropicMessages);
    if let Some(wait) = problem.retry_after {
        let millis = wait.as_millis().max(1);
        headers.push(("retry-after", millis.div_ceil(1000).to_string()));
        if !anthropic {
            headers.push(("retry-after-ms", millis.to_string()));
        }
    }
    if let Some(id) = &problem.request_id {
        headers.push((if anthropic { "request-id" } else { "x-request-id" }, id.clone()));
    }
    let (status, body) = if anthropic {
        (table::anthropic(problem.kind).0, to_json(&anthropic_error(problem)))
    } else {
        (table::openai(problem.kind).0, to_json(&Wrapped { error: openai_error(problem) }))
    };
    ErrorAnswer { status, content_type: "application/json", body: Bytes::from(body), headers }
}

/// Anthropic's error object, the body and the event alike.
#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    error: AnthropicDetail,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicDetail {
    r#type: &'static str,
    message: String,
}

/// What is inside OpenAI's `error`.
#[derive(Serialize)]
struct OpenaiError<'a> {
    message: String,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

fn anthropic_error(problem: &Problem) -> AnthropicError<'_> {
    let mut message = problem.text();
    // Clients compact the conversation when they read these words.
    if problem.kind == ProblemKind::ContextLength && !message.starts_with(PROMPT_TOO_LONG) {
        message = format!("{PROMPT_TOO_LONG}: {message}");
    }
    AnthropicError {
        r#type: "error",
        error: AnthropicDetail { r#type: table::anthropic(problem.kind).1, message },
        request_id: problem.request_id.as_deref(),
    }
}

fn openai_error(problem: &Problem) -> OpenaiError<'_> {
    let (_, kind, code) = table::openai(problem.kind);
    let code = if problem.kind.keeps_code() { problem.code.as_deref().or(code) } else { code };
    OpenaiError { message: problem.text(), r#type: kind, param: problem.param.as_deref(), code }
}

/// `{"error": …}`
#[derive(Serialize)]
struct Wrapped<T> {
    error: T,
}

fn to_json(value: &impl Serialize) -> String {
    // Strings, numbers and nulls under fixed keys always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

const PROMPT_TOO_LONG: &str = "prompt is too long";
