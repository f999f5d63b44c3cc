//! Answers that Penstock gives itself, in the client's own dialect, and the body type of every answer.
//! Never tells the client an account's secret or another caller's affairs.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use penstock_llm::encoding::DecodeError;
use penstock_llm::phrase::{Problem, ProblemKind, phrase};
use penstock_llm::request::BodyError;
use penstock_proto::dialect::Dialect;
use penstock_proxy_core::authenticate::AuthError;
use penstock_proxy_core::event::Sent;
use penstock_proxy_core::exhausted::{Cause, Exhausted};
use penstock_proxy_core::headers::Headers;
use penstock_proxy_core::route::{NotFound, route};

use crate::completion::Completion;
use crate::head::{RequestHead, Response, ResponseHead};
use crate::relay::{BrokenAnswer, Relay};
use crate::state::{Crowded, State};

const UNIFIED_STATUS: &str = "anthropic-ratelimit-unified-status";
const UNIFIED_RESET: &str = "anthropic-ratelimit-unified-reset";

/// When too many requests wait already, one more is told to come back after this.
const CROWDED_RETRY: Duration = Duration::from_secs(5);

/// The body of an answer.
pub enum Answer {
    /// One of ours.
    Own(Option<Bytes>),
    /// A provider's.
    Relay(Box<Relay>),
}

/// Why a request is not served by a provider.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody we know, or nobody we may serve.
    Unauthenticated(AuthError),
    /// No such route.
    NotFound(NotFound),
    /// A WebSocket, which this route does not speak: clients fall back to HTTP.
    UpgradeRequired,
    /// The body is larger than allowed, bytes.
    TooLarge {
        /// What is allowed.
        largest: u64,
    },
    /// The body stopped arriving.
    SlowBody,
    /// The client broke off its body, or its framing was wrong.
    BrokenBody,
    /// The body's content encoding.
    Encoding(DecodeError),
    /// The body is not a JSON object.
    NotJson(BodyError),
    /// A body that was being sent on already names another model.
    SecondModel,
    /// The path or a header cannot be sent on.
    Unsendable,
    /// No account could serve.
    Exhausted(Box<Exhausted>),
    /// Too many requests wait for an account already.
    Crowded,
}

impl From<Crowded> for Refusal {
    fn from(_: Crowded) -> Self {
        Self::Crowded
    }
}

/// Answers in the client's dialect and ends the request.
pub(crate) fn respond(
    refusal: &Refusal,
    head: &RequestHead,
    state: &State,
    mut completion: Completion,
) -> Response<Answer> {
    let dialect = completion.gathered().dialect.or_else(|| dialect_of(head, state));
    let model = completion.gathered().model_asked.clone();
    let problem = Problem { request_id: Some(completion.id().to_string()), ..problem(refusal, &model) };
    let answer = phrase(dialect, &problem);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = Headers::default();
    headers.insert("content-type", answer.content_type);
    for (name, value) in answer.headers {
        headers.insert(name, &value);
    }
    if let (Refusal::Exhausted(exhausted), Some(Dialect::AnthropicMessages)) = (refusal, dialect) {
        pool_limits(&mut headers, exhausted);
    }
    completion.sign(&mut headers);
    completion.answered(status);
    let gathered = completion.gathered();
    gathered.error = problem.message;
    gathered.response_bytes = answer.body.len() as u64;
    completion.finish(Sent::Answered);
    Response { head: ResponseHead { status, headers }, body: Answer::Own(Some(answer.body)) }
}

/// What Anthropic's clients read to tell when their quota returns: here the pool's.
fn pool_limits(headers: &mut Headers, exhausted: &Exhausted) {
    if exhausted.cause != Cause::Limited {
        return;
    }
    headers.insert(UNIFIED_STATUS, "rejected");
    if let Some(earliest) = exhausted.earliest {
        headers.insert(UNIFIED_RESET, &earliest.as_second().to_string());
    }
}

/// The dialect of a request that was turned away before its route was known.
fn dialect_of(head: &RequestHead, state: &State) -> Option<Dialect> {
    let providers = &state.published().view.providers;
    match route(&head.method, head.uri.path(), head.uri.query(), &head.headers, providers) {
        Ok(route) => Some(route.error_dialect()),
        Err(_) if head.headers.contains("anthropic-version") => Some(Dialect::AnthropicMessages),
        Err(_) => None,
    }
}

fn problem(refusal: &Refusal, model: &str) -> Problem {
    match refusal {
        Refusal::Unauthenticated(error) => Problem::new(unauthenticated_kind(error), error.to_string()),
        Refusal::NotFound(error) => Problem::new(ProblemKind::NotFound, error.to_string()),
        Refusal::UpgradeRequired => Problem::new(
            ProblemKind::UpgradeRequired,
            "WebSocket is not available on this route; use HTTP with server-sent events.",
        ),
        Refusal::TooLarge { largest } => {
            Problem::new(ProblemKind::TooLarge, format!("The request body is larger than {largest} bytes."))
        }
        Refusal::SlowBody => Problem::new(ProblemKind::Timeout, "The request body stopped arriving."),
        Refusal::BrokenBody => {
            Problem::new(ProblemKind::InvalidRequest, "The request body broke off or was framed wrongly.")
        }
        Refusal::Encoding(error) => {
            let kind = match error {
                DecodeError::Unsupported(_) => ProblemKind::UnsupportedEncoding,
                DecodeError::Bad { .. } => ProblemKind::InvalidRequest,
                DecodeError::TooLarge(_) => ProblemKind::TooLarge,
            };
            Problem::new(kind, error.to_string())
        }
        Refusal::NotJson(error) => Problem::new(ProblemKind::InvalidRequest, error.to_string()),
        Refusal::SecondModel => Problem::new(
            ProblemKind::InvalidRequest,
            "The request names its model twice, and the second time far behind the first: name it once.",
        ),
        Refusal::Unsendable => {
            Problem::new(ProblemKind::InvalidRequest, "The request's path cannot be sent to a provider.")
        }
        Refusal::Exhausted(exhausted) => {
            let kind = exhausted_kind(exhausted.cause, model);
            Problem { retry_after: exhausted.retry_after, ..Problem::new(kind, exhausted.message.clone()) }
        }
        Refusal::Crowded => Problem {
            retry_after: Some(CROWDED_RETRY),
            ..Problem::new(ProblemKind::RateLimited, "Too many requests are waiting for an account.")
        },
    }
}

fn unauthenticated_kind(error: &AuthError) -> ProblemKind {
    match error {
        AuthError::NotReady => ProblemKind::Unavailable,
        AuthError::NoAccounts { .. } => ProblemKind::Permission,
        AuthError::MissingKey
        | AuthError::MissingToken { .. }
        | AuthError::UnknownKey
        | AuthError::Token(_) => ProblemKind::Unauthenticated,
    }
}

fn exhausted_kind(cause: Cause, model: &str) -> ProblemKind {
    match cause {
        Cause::Limited => ProblemKind::RateLimited,
        Cause::Overloaded => ProblemKind::Overloaded,
        Cause::NoAccount if !model.is_empty() => ProblemKind::ModelNotFound,
        Cause::Broken | Cause::NoAccount => ProblemKind::Unavailable,
        Cause::ServerFault => ProblemKind::BadGateway,
        Cause::Deadline => ProblemKind::Timeout,
    }
}

impl Answer {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self::Own(None)
    }

    /// How long it is, bytes, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Own(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Relay(relay) => relay.remaining(),
        }
    }

    /// The next piece; `Ready(None)` at the end.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenAnswer>>> {
        match self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Self::Relay(relay) => relay.poll_bytes(cx),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        self.get_mut().poll_bytes(cx).map(|next| next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Relay(relay) => relay.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
