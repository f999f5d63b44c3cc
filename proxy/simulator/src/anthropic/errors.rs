//! Anthropic's words for a failure.

use bytes::Bytes;

use super::headers::headers;
use crate::{
    json::{Raw, object},
    limits::Exhausted,
    reply::{Context, Failure, Reply, event, put},
};

/// The answer to a request that fails.
pub(crate) fn phrase(failure: &Failure, context: &Context) -> Reply {
    let (status, kind, message) = words(failure, context);
    let mut headers = headers(context, failure.limit());
    match failure {
        Failure::Limited { until, .. } | Failure::UsageLimitReached { until } => {
            put(&mut headers, "retry-after", context.seconds_until(*until).to_string());
        }
        Failure::Windowless | Failure::InsufficientQuota | Failure::UsageNotIncluded => {
            forget_limits(&mut headers);
        }
        Failure::BadGateway => return Reply::gateway_page(status, headers),
        _ => {}
    }
    if matches!(status, 429 | 500..) {
        put(&mut headers, "x-should-retry", "true");
    }
    Reply::json(status, headers, body(kind, &message, &context.request_id))
}

/// A failure as an event of a stream that began well.
pub(crate) fn error_event(failure: &Failure, context: &Context) -> Bytes {
    let (_, kind, message) = words(failure, context);
    event("error", &body(kind, &message, &context.request_id))
}

fn body(kind: &str, message: &str, request_id: &str) -> Raw {
    let error = object! { "type": kind, "message": message };
    object! { "type": "error", "error": error, "request_id": request_id }
}

/// Status, `error.type` and message.
fn words(failure: &Failure, context: &Context) -> (u16, &'static str, String) {
    let plain = |status, kind, message: &str| (status, kind, message.to_owned());
    match failure {
        Failure::Invalid { message, .. } => (400, "invalid_request_error", message.clone()),
        Failure::NoRoute { .. } => plain(404, "not_found_error", "Not Found"),
        Failure::Unauthorized => plain(401, "authentication_error", "invalid x-api-key"),
        Failure::Billing => plain(
            402,
            "billing_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
        ),
        Failure::Forbidden => plain(
            403,
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        Failure::ModelNotFound => (404, "not_found_error", format!("model: {}", context.model)),
        Failure::Limited { by: Exhausted::PerMinute, .. } => (
            429,
            "rate_limit_error",
            format!(
                "This request would exceed the per-minute rate limit of your organization ({}). Please try again later.",
                context.organization
            ),
        ),
        Failure::Limited { .. } | Failure::UsageLimitReached { .. } => plain(
            429,
            "rate_limit_error",
            "This request would exceed your account's rate limit. Please try again later.",
        ),
        Failure::Windowless | Failure::InsufficientQuota | Failure::UsageNotIncluded => {
            plain(429, "rate_limit_error", "Error")
        }
        Failure::Overloaded => plain(529, "overloaded_error", "Overloaded"),
        Failure::ServerError => plain(500, "api_error", "Internal server error"),
        Failure::BadGateway => plain(502, "api_error", "Bad gateway"),
        Failure::Unavailable => plain(503, "api_error", "Service unavailable"),
        Failure::GatewayTimeout => plain(504, "timeout_error", "The request timed out"),
    }
}

fn forget_limits(headers: &mut http::HeaderMap) {
    let limits: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("anthropic-ratelimit-")).cloned().collect();
    for name in limits {
        headers.remove(name);
    }
}
