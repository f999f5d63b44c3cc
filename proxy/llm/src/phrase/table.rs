//! The table of wire.md 4.1.12: how a problem is recognised, and what each dialect calls it.

use crate::error::ErrorFacts;

use super::ProblemKind;

/// Status and `error.type` for clients of Anthropic Messages.
pub(super) fn anthropic(kind: ProblemKind) -> (u16, &'static str) {
    match kind {
        ProblemKind::InvalidRequest | ProblemKind::ContextLength | ProblemKind::Policy => {
            (400, "invalid_request_error")
        }
        ProblemKind::TooLarge => (413, "request_too_large"),
        ProblemKind::UnsupportedEncoding => (415, "invalid_request_error"),
        ProblemKind::NotFound | ProblemKind::ModelNotFound => (404, "not_found_error"),
        ProblemKind::Permission => (403, "permission_error"),
        ProblemKind::Unauthenticated => (401, "authentication_error"),
        ProblemKind::RateLimited => (429, "rate_limit_error"),
        ProblemKind::Overloaded => (529, "overloaded_error"),
        ProblemKind::Timeout => (504, "timeout_error"),
        ProblemKind::Unavailable => (503, "api_error"),
        ProblemKind::BadGateway => (502, "api_error"),
        ProblemKind::Server => (500, "api_error"),
        ProblemKind::UpgradeRequired => (426, "invalid_request_error"),
    }
}

/// Status, `error.type` and `error.code` for clients of Chat Completions and Responses.
pub(super) fn openai(kind: ProblemKind) -> (u16, &'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    match kind {
        ProblemKind::InvalidRequest | ProblemKind::Policy => (400, INVALID, None),
        ProblemKind::ContextLength => (400, INVALID, Some("context_length_exceeded")),
        ProblemKind::TooLarge => (413, INVALID, Some("request_too_large")),
        ProblemKind::UnsupportedEncoding => (415, INVALID, None),
        ProblemKind::NotFound => (404, INVALID, None),
        ProblemKind::ModelNotFound => (404, INVALID, Some("model_not_found")),
        ProblemKind::Permission => (403, INVALID, None),
        ProblemKind::Unauthenticated => (401, INVALID, Some("invalid_api_key")),
        ProblemKind::RateLimited => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        ProblemKind::Overloaded => (503, "service_unavailable_error", Some("server_is_overloaded")),
        ProblemKind::Timeout => (504, "server_error", Some("timeout")),
        ProblemKind::Unavailable => (503, "server_error", Some("upstream_unavailable")),
        ProblemKind::BadGateway => (502, "server_error", None),
        ProblemKind::Server => (500, "server_error", None),
        ProblemKind::UpgradeRequired => (426, INVALID, None),
    }
}

/// `error.code` inside `response.failed`, from the closed list that clients of Responses know.
pub(super) fn response_code(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::RateLimited => "rate_limit_exceeded",
        ProblemKind::ContextLength => "context_length_exceeded",
        ProblemKind::InvalidRequest
        | ProblemKind::Policy
        | ProblemKind::TooLarge
        | ProblemKind::UnsupportedEncoding
        | ProblemKind::NotFound
        | ProblemKind::ModelNotFound
        | ProblemKind::Permission
        | ProblemKind::Unauthenticated
        | ProblemKind::UpgradeRequired => "invalid_prompt",
        ProblemKind::Overloaded => "server_is_overloaded",
        ProblemKind::Timeout | ProblemKind::Unavailable | ProblemKind::BadGateway | ProblemKind::Server => {
            "server_error"
        }
    }
}

impl ProblemKind {
    /// Whether the provider's code says more than ours.
    pub(super) fn keeps_code(self) -> bool {
        matches!(self, Self::InvalidRequest | Self::Permission | Self::Policy)
    }

    /// What to say where the provider says nothing.
    pub(super) fn default_message(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the provider refused the request",
            Self::ContextLength => "the prompt does not fit into the model's context window",
            Self::TooLarge => "the request body is too large",
            Self::UnsupportedEncoding => "the request body's content encoding is not supported",
            Self::NotFound => "not found",
            Self::ModelNotFound => "the model was not found",
            Self::Permission => "not permitted",
            Self::Policy => "the provider refused the content",
            Self::Unauthenticated => "the API key is missing or wrong",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "the provider is overloaded",
            Self::Timeout => "timed out",
            Self::Unavailable => "no usable upstream account",
            Self::BadGateway => "the provider's answer could not be read",
            Self::Server => "the provider failed",
            Self::UpgradeRequired => "this route does not speak WebSocket",
        }
    }
}

/// What a provider's error is.
///
/// The words come before the status: providers send the same error with several statuses, and without any
/// inside a stream.
pub(super) fn recognise(status: Option<u16>, facts: &ErrorFacts) -> ProblemKind {
    by_words(facts).or_else(|| status.map(by_status)).unwrap_or(ProblemKind::Server)
}

fn by_words(facts: &ErrorFacts) -> Option<ProblemKind> {
    const NAMES: [(&[&str], ProblemKind); 10] = [
        (&["context_length_exceeded", "model_context_window_exceeded"], ProblemKind::ContextLength),
        (&["insufficient_quota", "credit_balance_exhausted"], ProblemKind::Unavailable),
        (&["authentication_error", "billing_error", "invalid_api_key"], ProblemKind::Unavailable),
        (&["model_not_found", "not_found_error"], ProblemKind::ModelNotFound),
        (&["permission_error", "usage_not_included"], ProblemKind::Permission),
        (&["cyber_policy", "bio_policy", "invalid_prompt"], ProblemKind::Policy),
        (&["overloaded_error", "server_is_overloaded", "slow_down"], ProblemKind::Overloaded),
        (&["rate_limit_error", "rate_limit_exceeded", "usage_limit_reached"], ProblemKind::RateLimited),
        (&["timeout_error"], ProblemKind::Timeout),
        (&["request_too_large"], ProblemKind::TooLarge),
    ];
    const TOO_LONG: [&str; 3] =
        ["prompt is too long", "exceeds the context window", "maximum context length"];
    if facts.mentions(&TOO_LONG) {
        return Some(ProblemKind::ContextLength);
    }
    if facts.mentions(&["not supported when using codex"]) {
        return Some(ProblemKind::ModelNotFound);
    }
    if facts.mentions(&["selected model is at capacity"]) {
        return Some(ProblemKind::RateLimited);
    }
    NAMES.iter().find(|(names, _)| facts.says(names)).map(|(_, kind)| *kind)
}

fn by_status(status: u16) -> ProblemKind {
    match status {
        401 | 402 => ProblemKind::Unavailable,
        403 => ProblemKind::Permission,
        404 => ProblemKind::NotFound,
        408 | 504 => ProblemKind::Timeout,
        413 => ProblemKind::TooLarge,
        415 => ProblemKind::UnsupportedEncoding,
        429 => ProblemKind::RateLimited,
        529 => ProblemKind::Overloaded,
        400..=499 => ProblemKind::InvalidRequest,
        502 => ProblemKind::BadGateway,
        _ => ProblemKind::Server,
    }
}
