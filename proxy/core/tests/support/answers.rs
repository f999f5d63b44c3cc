//! Answers as providers give them.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use penstock_llm::error::ErrorFacts;
use penstock_proxy_core::classify::{Heard, TransportError};

/// What is heard of a provider.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Response { status: u16, headers: HeaderMap, body: String },
    ErrorEvent { body: String },
    Failure(TransportError),
    ClientLeft,
}

impl Answer {
    /// A response with an error of this type, or a success.
    pub(crate) fn status(status: u16, kind: &str, message: &str) -> Self {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
        Self::Response { status, headers: HeaderMap::new(), body }
    }

    /// A success.
    pub(crate) fn ok() -> Self {
        Self::Response { status: 200, headers: HeaderMap::new(), body: String::new() }
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
            let name = HeaderName::try_from(name).expect("a header name");
            headers.append(name, HeaderValue::try_from(value).expect("a header value"));
        }
        self
    }

    /// Gives it to `classify`.
    pub(crate) fn with<R>(&self, judge: impl FnOnce(&Heard<'_>) -> R) -> R {
        let none = HeaderMap::new();
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
