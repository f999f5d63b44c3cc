//! `OpenAI`'s words for a failure.

use bytes::Bytes;

use super::{headers::headers, responses::Frame};
use crate::{
    json::{Raw, array, object},
    limits::Exhausted,
    reply::{Context, Failure, Reply, data, event, put},
};

/// Status and the fields of an error.
struct Words {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<&'static str>,
    message: String,
}

/// The answer to a request that fails.
pub(crate) fn phrase(failure: &Failure, context: &Context) -> Reply {
    let words = words(failure, context);
    let mut headers = headers(context, failure.limit().is_some_and(|(by, _)| by == Exhausted::PerMinute));
    match failure {
        Failure::Limited { until, .. } | Failure::UsageLimitReached { until } => {
            put(&mut headers, "retry-after", context.seconds_until(*until).to_string());
            put(&mut headers, "retry-after-ms", context.until(*until).as_millis().max(1).to_string());
        }
        Failure::Windowless | Failure::InsufficientQuota => forget_limits(&mut headers),
        Failure::BadGateway => return Reply::gateway_page(502, headers),
        _ => {}
    }
    Reply::json(words.status, headers, object! { "error": error(&words) })
}

/// A failure in a Chat Completions stream that began well.
pub(crate) fn chat_error_event(failure: &Failure, context: &Context) -> Bytes {
    data(&object! { "error": error(&words(failure, context)) })
}

/// A failure as the first event of a Responses stream: nested, as the live API sends it.
pub(crate) fn responses_error_event(failure: &Failure, context: &Context) -> Bytes {
    let error = error(&words(failure, context));
    event("error", &object! { "type": "error", "sequence_number": 0, "error": error })
}

/// A failure that ends a Responses stream that began well.
pub(crate) fn response_failed(failure: &Failure, context: &Context, frame: &Frame, sequence: usize) -> Bytes {
    let words = words(failure, context);
    let error = object! { "code": words.code.unwrap_or("server_error"), "message": &words.message };
    let response = frame.object("failed", &array![], None, &error);
    let failed = object! { "type": "response.failed", "sequence_number": sequence, "response": response };
    event("response.failed", &failed)
}

fn error(words: &Words) -> Raw {
    object! {
        "message": &words.message, "type": words.kind, "param": words.param,
        "code": words.code
    }
}

fn words(failure: &Failure, context: &Context) -> Words {
    let (status, kind, code, message) = line(failure, context);
    let param = match failure {
        Failure::Invalid { param, .. } => *param,
        _ => None,
    };
    Words { status, kind, code, param, message }
}

/// Status, type, code and message.
fn line(failure: &Failure, context: &Context) -> (u16, &'static str, Option<&'static str>, String) {
    const INVALID: &str = "invalid_request_error";
    let model = &context.model;
    let plain = |status, kind, code, message: &str| (status, kind, code, message.to_owned());
    match failure {
        Failure::Invalid { message, param } => {
            (400, INVALID, param.map(|_| "missing_required_parameter"), message.clone())
        }
        Failure::NoRoute { method, path } => (404, INVALID, None, format!("Invalid URL ({method} {path})")),
        Failure::Unauthorized => plain(
            401,
            INVALID,
            Some("invalid_api_key"),
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        ),
        Failure::Billing => {
            plain(402, INVALID, Some("billing_hard_limit_reached"), "Billing hard limit has been reached.")
        }
        Failure::Forbidden => plain(
            403,
            INVALID,
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported",
        ),
        Failure::ModelNotFound => (
            404,
            INVALID,
            Some("model_not_found"),
            format!("The model `{model}` does not exist or you do not have access to it."),
        ),
        Failure::Limited { until, .. } | Failure::UsageLimitReached { until } => {
            let seconds = context.until(*until).as_secs_f64();
            let message = format!(
                "Rate limit reached for {model} on requests per min (RPM). Please try again in {seconds:.3}s. Visit https://platform.openai.com/account/rate-limits to learn more."
            );
            (429, "requests", Some("rate_limit_exceeded"), message)
        }
        Failure::Windowless => {
            plain(429, "rate_limit_error", Some("rate_limit_exceeded"), "Too many requests.")
        }
        Failure::InsufficientQuota | Failure::UsageNotIncluded => plain(
            429,
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        Failure::Overloaded => plain(
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "The server is overloaded. Please try again later.",
        ),
        Failure::ServerError => plain(
            500,
            "server_error",
            None,
            "The server had an error while processing your request. Sorry about that!",
        ),
        Failure::BadGateway => plain(502, "server_error", None, "Bad gateway."),
        Failure::Unavailable => plain(
            503,
            "service_unavailable_error",
            None,
            "The engine is currently unavailable, please try again later.",
        ),
        Failure::GatewayTimeout => plain(504, "server_error", None, "The request timed out."),
    }
}

fn forget_limits(headers: &mut http::HeaderMap) {
    let limits: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("x-ratelimit-")).cloned().collect();
    for name in limits {
        headers.remove(name);
    }
}
