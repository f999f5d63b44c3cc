//! What an upstream answer means: one [`Outcome`], and what it teaches about the account.
//! Never decides what to do next; that is `attempt`'s.
//!
//! The rows of the table "Classify" are read top to bottom here: [`classify`] → by status or by the error's
//! own words → `limited` (429 in all its kinds) or `refused` (the other account errors).

mod limited;
mod refused;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use penstock_llm::error::ErrorFacts;
use penstock_proto::limits::{Cooldown, CooldownScope, Window};

use crate::headers::Headers;
use crate::limits::{self, Windows};

/// How a connection failed before there were response headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportError {
    /// Name resolution or TCP.
    Connect,
    /// TLS handshake or certificate.
    Tls,
    /// The connection was closed or reset before the head of the answer.
    Reset,
    /// No head within the per-try timeout.
    Timeout,
    /// The answer's head or framing was not HTTP.
    Malformed,
}

/// What was heard of the provider.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// A response, with its body read if it is an error. For a 2xx: its commit event was seen.
    Response {
        /// HTTP status.
        status: u16,
        /// Response headers.
        headers: &'a Headers,
        /// What the error body says (at most its first 64 KiB); `None` for a success.
        error: Option<&'a ErrorFacts>,
    },
    /// A 2xx stream whose first event is an error, with nothing sent to the client yet.
    ErrorEvent {
        /// Response headers.
        headers: &'a Headers,
        /// What the event says.
        error: &'a ErrorFacts,
    },
    /// There was no response.
    Transport(TransportError),
    /// The client left first.
    ClientLeft,
}

/// What an answer means (behaviour of the pool, section 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Relay it.
    Success,
    /// A quota window is used up.
    QuotaExhausted {
        /// Name of the window, or of the error code.
        window: Cow<'static, str>,
        /// When it starts anew.
        until: Timestamp,
    },
    /// Too many requests or tokens in a short time.
    Throttled {
        /// When to come back.
        until: Timestamp,
    },
    /// 429 that says nothing of limits.
    Windowless,
    /// The provider is overloaded; `until` if it says how long.
    Overloaded {
        /// Not before this.
        until: Option<Timestamp>,
    },
    /// The credential does not work.
    CredentialRejected,
    /// Payment, permission or spend limit.
    Forbidden,
    /// The account does not serve this model.
    ModelUnavailable,
    /// The request itself is wrong: relay the answer unchanged.
    ClientFault,
    /// The provider failed.
    ServerFault,
    /// The provider was not reached.
    Unreachable(TransportError),
    /// The client left.
    ClientLeft,
}

/// An outcome with what it teaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What the answer means.
    pub outcome: Outcome,
    /// HTTP status of the answer, or the one that an error event stands for; 0 = there was no answer.
    pub status: u16,
    /// Whether it was an event in a stream that had begun with 200, so that it is no answer to relay.
    pub in_stream: bool,
    /// Windows read from the headers.
    pub windows: Vec<(Cow<'static, str>, Window)>,
    /// Cooldowns it means.
    pub cooldowns: Vec<(CooldownScope, Cooldown)>,
    /// What the provider said, without secrets, at most 300 characters; empty = nothing.
    pub message: String,
}

impl Outcome {
    /// Stable label for history, metrics and spans.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::Throttled { .. } => "throttled",
            Self::Windowless => "windowless",
            Self::Overloaded { .. } => "overloaded",
            Self::CredentialRejected => "credential_rejected",
            Self::Forbidden => "forbidden",
            Self::ModelUnavailable => "model_unavailable",
            Self::ClientFault => "client_fault",
            Self::ServerFault => "server_fault",
            Self::Unreachable(_) => "unreachable",
            Self::ClientLeft => "client_left",
        }
    }

    /// Whether this answer is what the client gets: there is nothing another account could do better.
    pub fn is_relayed(&self) -> bool {
        matches!(self, Self::Success | Self::ClientFault)
    }
}

/// How long an account is set aside that may not pay, may not use something, or reached its spend limit:
/// a person has to act, and looking twice an hour costs nothing.
pub const FORBIDDEN: SignedDuration = SignedDuration::from_mins(30);
/// How long a missing model is remembered: providers roll models out within hours, not seconds.
pub const MODEL_UNAVAILABLE: SignedDuration = SignedDuration::from_mins(5);
/// How long an account is set aside whose provider stays overloaded.
pub const OVERLOADED: SignedDuration = SignedDuration::from_secs(10);
/// Longest word of a message kept for people.
const MESSAGE: usize = 300;

/// What is needed to judge one answer.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    status: u16,
    headers: &'a Headers,
    error: &'a ErrorFacts,
    model: &'a str,
    now: Timestamp,
}

impl Verdict {
    fn new(outcome: Outcome, status: u16, windows: Windows) -> Self {
        Self { outcome, status, in_stream: false, windows, cooldowns: Vec::new(), message: String::new() }
    }
}

/// Decides what was heard means. `model` is the model as sent; empty = none.
pub fn classify(heard: &Heard<'_>, model: &str, now: Timestamp) -> Verdict {
    match *heard {
        Heard::Response { status, headers, error: None } if status < 400 => {
            Verdict::new(Outcome::Success, status, limits::learn(headers, now))
        }
        Heard::Response { status, headers, error } => {
            let silent = ErrorFacts::default();
            judge(&Case { status, headers, error: error.unwrap_or(&silent), model, now })
        }
        Heard::ErrorEvent { headers, error } => {
            let mut headers = Cow::Borrowed(headers);
            add_embedded(&mut headers, error);
            let status =
                error.status.filter(|status| *status >= 400).unwrap_or_else(|| implied_status(error));
            Verdict { in_stream: true, ..judge(&Case { status, headers: &headers, error, model, now }) }
        }
        Heard::Transport(error) => Verdict::new(Outcome::Unreachable(error), 0, Vec::new()),
        Heard::ClientLeft => Verdict::new(Outcome::ClientLeft, 0, Vec::new()),
    }
}

fn judge(case: &Case<'_>) -> Verdict {
    let windows = limits::learn(case.headers, case.now);
    let mut verdict = match refused::outcome(case) {
        Some(outcome) => {
            let mut verdict = Verdict::new(outcome, case.status, windows);
            verdict.cooldowns = refused::cooldown(&verdict.outcome, case).into_iter().collect();
            verdict
        }
        None if case.status == 429 => limited::verdict(case, windows),
        None if case.status >= 500 => Verdict::new(Outcome::ServerFault, case.status, windows),
        None => Verdict::new(Outcome::ClientFault, case.status, windows),
    };
    verdict.message = case.error.message.as_deref().unwrap_or_default().chars().take(MESSAGE).collect();
    verdict
}

/// An error event says no status: the one its words would have had as a response.
fn implied_status(error: &ErrorFacts) -> u16 {
    const STATUS: [(u16, &[&str]); 7] = [
        (
            429,
            &[
                "rate_limit_error",
                "rate_limit_exceeded",
                "usage_limit_reached",
                "insufficient_quota",
                "tokens",
                "requests",
            ],
        ),
        (529, &["overloaded_error", "server_is_overloaded", "slow_down"]),
        (401, &["authentication_error", "invalid_api_key"]),
        (402, &["billing_error"]),
        (403, &["permission_error", "usage_not_included"]),
        (404, &["not_found_error", "model_not_found"]),
        (
            400,
            &[
                "invalid_request_error",
                "context_length_exceeded",
                "invalid_prompt",
                "bio_policy",
                "cyber_policy",
                "invalid_encrypted_content",
                "request_too_large",
            ],
        ),
    ];
    // A code is more exact than a type.
    let by = |word: &Option<String>| {
        let word = word.as_deref()?;
        STATUS.iter().find(|(_, words)| words.contains(&word)).map(|(status, _)| *status)
    };
    let image = || error.code.as_deref().is_some_and(|code| code.contains("image")).then_some(400);
    by(&error.code).or_else(image).or_else(|| by(&error.kind)).unwrap_or(500)
}

/// Headers that an error event carries count like those of a response.
fn add_embedded(headers: &mut Cow<'_, Headers>, error: &ErrorFacts) {
    for (name, value) in &error.headers {
        headers.to_mut().insert(&name.to_ascii_lowercase(), value);
    }
}

/// Models that share a limit with this one: of Claude the whole family (`opus`, …), else the model alone.
pub(crate) fn model_scope(model: &str) -> Option<String> {
    if model.is_empty() {
        return None;
    }
    let families = ["opus", "sonnet", "haiku", "fable"];
    let lower = model.to_ascii_lowercase();
    let family = families.iter().find(|family| lower.starts_with("claude-") && lower.contains(**family));
    Some(family.map_or_else(|| model.to_owned(), |family| format!("claude-*{family}*")))
}

#[cfg(test)]
mod tests;
