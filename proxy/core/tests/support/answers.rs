//! Answers as providers give them.

use jiff::{SignedDuration, Timestamp};
use penstock_llm::error::ErrorFacts;
use penstock_proxy_core::classify::{Heard, TransportError};
use penstock_proxy_core::headers::Headers;

/// What is heard of a provider.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Response { status: u16, headers: Headers, body: String },
    ErrorEvent { body: String },
    Failure(TransportError),
    ClientLeft,
}

impl Answer {
    /// A response with an error of this type, or a success.
    pub(crate) fn status(status: u16, kind: &str, message: &str) -> Self {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
        Self::Response { status, headers: Headers::default(), body }
    }

    /// A success.
    pub(crate) fn ok() -> Self {
        Self::Response { status: 200, headers: Headers::default(), body: String::new() }
    }

    /// A 429 whose unified window of this (provider's) name is rejected for so long.
    pub(crate) fn window_rejected(window: &str, wait: SignedDuration, now: Timestamp) -> Self {
        Self::window_rejected_until(window, now + wait)
    }

    /// A 429 whose unified window of this (provider's) name is rejected until then, in whole seconds.
    pub(crate) fn window_rejected_until(window: &str, reset: Timestamp) -> Self {
        let reset = reset.as_second();
        Self::status(429, "rate_limit_error", "This request would exceed your account's rate limit.")
            .header("anthropic-ratelimit-unified-status", "rejected")
            .header(&format!("anthropic-ratelimit-unified-{window}-status"), "rejected")
            .header(&format!("anthropic-ratelimit-unified-{window}-reset"), &reset.to_string())
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Response { headers, .. } = &mut self {
            headers.append(name, value.as_bytes());
        }
        self
    }

    /// Gives it to `classify`.
    pub(crate) fn with<R>(&self, judge: impl FnOnce(&Heard<'_>) -> R) -> R {
        let none = Headers::default();
        match self {
            Self::Response { status, headers, body } => {
                let error = ErrorFacts::parse(body.as_bytes());
                let error = (*status >= 400).then_some(&error);
                judge(&Heard::Response { status: *status, headers, error })
            }
            Self::ErrorEvent { body } => {
                judge(&Heard::ErrorEvent { headers: &none, error: &ErrorFacts::parse(body.as_bytes()) })
            }
            Self::Failure(error) => judge(&Heard::Transport(*error)),
            Self::ClientLeft => judge(&Heard::ClientLeft),
        }
    }
}
