//! The Codex backend's manners: an allow-listed body, windows in headers and events, errors of its own.

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;

use crate::{
    ask::Ask,
    json::{Null, Raw, array, object},
    limits::{Exhausted, Reading},
    openai,
    reply::{Context, Failure, Reply, event, put},
};

/// Everything else is refused.
const ACCEPTED: [&str; 13] = [
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "store",
    "stream",
    "include",
    "prompt_cache_key",
    "client_metadata",
];

/// Refuses what the backend refuses.
pub(crate) fn check(ask: &Ask<'_>) -> Result<(), Failure> {
    if let Some(key) = ask.keys().find(|key| !ACCEPTED.contains(key)) {
        return Err(Failure::invalid(format!("Unsupported parameter: {key}")));
    }
    let refusals = [
        (!ask.is_true("stream"), "Stream must be set to true"),
        (ask.raw("store") != Some("false"), "Store must be set to false"),
        (ask.text("instructions").is_none(), "Instructions are required"),
        (!ask.raw("input").is_some_and(|raw| raw.starts_with('[')), "Input must be a list"),
        (has_system_message(ask), "System messages are not allowed"),
    ];
    match refusals.into_iter().find(|(refused, _)| *refused) {
        Some((_, detail)) => Err(Failure::invalid(detail)),
        None => Ok(()),
    }
}

/// The headers of an answer; `limited` is the window that refused the request, if one did.
pub(crate) fn headers(context: &Context, limited: Option<Timestamp>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    openai::common_headers(&mut headers, context);
    put(&mut headers, "x-codex-turn-state", format!("turn-{}", &context.organization[..8]));
    put(&mut headers, "x-codex-plan-type", "plus");
    put(&mut headers, "x-codex-credits-has-credits", "false");
    put(&mut headers, "x-codex-credits-unlimited", "false");
    let short = shown(&context.readings.five_hour, limited);
    let long = shown(&context.readings.seven_day, None);
    put(&mut headers, "x-codex-primary-used-percent", short.0.to_string());
    put(&mut headers, "x-codex-primary-window-minutes", "300");
    put(&mut headers, "x-codex-primary-reset-at", short.1.as_second().to_string());
    put(&mut headers, "x-codex-primary-reset-after-seconds", context.seconds_until(short.1).to_string());
    put(&mut headers, "x-codex-secondary-used-percent", long.0.to_string());
    put(&mut headers, "x-codex-secondary-window-minutes", "10080");
    put(&mut headers, "x-codex-secondary-reset-at", long.1.as_second().to_string());
    put(&mut headers, "x-codex-secondary-reset-after-seconds", context.seconds_until(long.1).to_string());
    headers
}

/// The windows as an event, which precedes the response's own.
pub(crate) fn limits_event(context: &Context) -> Bytes {
    let window = |reading: &Reading, minutes: u64| {
        let (percent, reset_at) = shown(reading, None);
        object! { "used_percent": percent, "window_minutes": minutes, "reset_at": reset_at.as_second() }
    };
    let limits = object! {
        "primary": window(&context.readings.five_hour, 300),
        "secondary": window(&context.readings.seven_day, 10_080)
    };
    let data =
        object! { "type": "codex.rate_limits", "plan_type": "plus", "rate_limits": limits, "credits": Null };
    event("codex.rate_limits", &data)
}

/// The answer to a request that fails.
pub(crate) fn phrase(failure: &Failure, context: &Context) -> Reply {
    match failure {
        Failure::Invalid { message, .. } => detail(400, message, context),
        Failure::NoRoute { .. } => detail(404, "Not Found", context),
        Failure::Unauthorized => {
            detail(401, "Could not parse your authentication token. Please try signing in again.", context)
        }
        Failure::ModelNotFound => {
            let message = format!(
                "The '{}' model is not supported when using Codex with a ChatGPT account.",
                context.model
            );
            detail(400, &message, context)
        }
        Failure::UsageLimitReached { until }
        | Failure::Limited { by: Exhausted::FiveHour | Exhausted::SevenDay | Exhausted::Model, until } => {
            let error = object! {
                "type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus",
                "resets_at": until.as_second(), "resets_in_seconds": context.seconds_until(*until)
            };
            Reply::json(429, headers(context, Some(*until)), object! { "error": error })
        }
        Failure::UsageNotIncluded => {
            let message = "To use Codex with your ChatGPT plan, upgrade to Plus.";
            let error = object! { "type": "usage_not_included", "message": message, "plan_type": "free" };
            Reply::json(429, headers(context, None), object! { "error": error })
        }
        _ => openai::phrase(failure, context),
    }
}

/// The models it lists, which are for its own client only.
pub(crate) fn models() -> Raw {
    object! { "models": array![] }
}

fn detail(status: u16, message: &str, context: &Context) -> Reply {
    Reply::json(status, headers(context, None), object! { "detail": message })
}

/// Percent used and the reset of a window.
fn shown(reading: &Reading, limited: Option<Timestamp>) -> (f64, Timestamp) {
    match limited {
        Some(until) => (100.0, until),
        None => ((reading.utilization * 1000.0).round() / 10.0, reading.resets_at),
    }
}

fn has_system_message(ask: &Ask<'_>) -> bool {
    let input = ask.value("input");
    input
        .as_ref()
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .any(|item| item["role"] == "system")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(body: &str) -> Result<(), Failure> {
        check(&Ask::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn only_the_allow_list_passes() {
        let good = r#""model":"m","instructions":"","input":[],"stream":true,"store":false"#;
        assert_eq!(checked(&format!("{{{good}}}")), Ok(()));
        for (field, detail) in [
            (r#""temperature":1"#, "Unsupported parameter: temperature"),
            (r#""stream":false"#, "Stream must be set to true"),
            (r#""store":true"#, "Store must be set to false"),
            (r#""instructions":null"#, "Instructions are required"),
            (r#""input":"hi""#, "Input must be a list"),
            (r#""input":[{"role":"system","content":"x"}]"#, "System messages are not allowed"),
        ] {
            assert_eq!(checked(&format!("{{{good},{field}}}")), Err(Failure::invalid(detail)), "{field}");
        }
    }
}
