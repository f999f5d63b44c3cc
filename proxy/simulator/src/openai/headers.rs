//! `OpenAI`'s response headers: ids, cookies, and the per-minute limits.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::SignedDuration;

use crate::reply::{Context, put};

/// Announced, never enforced, where an account has no such limit.
const USUAL_REQUESTS: u64 = 10_000;
/// Announced, never enforced, where an account has no such limit.
const USUAL_TOKENS: u64 = 30_000_000;

/// The headers of an answer; `used_up` if the per-minute limit refused the request.
pub(crate) fn headers(context: &Context, used_up: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    common(&mut headers, context);
    put(&mut headers, "openai-version", "2020-10-01");
    put(&mut headers, "openai-organization", format!("org-{}", &context.organization[..8]));
    put(&mut headers, "openai-project", format!("proj_{}", &context.organization[..8]));
    put(&mut headers, "openai-processing-ms", "4");
    let minute = &context.readings.minute;
    let reset = go_duration(context.until(minute.resets_at));
    for (limit_name, left_name, reset_name, limit, usual, used) in [
        (
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
            minute.quota.requests,
            USUAL_REQUESTS,
            minute.requests,
        ),
        (
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
            minute.quota.tokens,
            USUAL_TOKENS,
            minute.tokens,
        ),
    ] {
        let left = limit.map_or(usual - 1, |limit| limit.saturating_sub(used));
        put(&mut headers, limit_name, limit.unwrap_or(usual).to_string());
        put(&mut headers, left_name, if used_up { 0 } else { left }.to_string());
        put(&mut headers, reset_name, &reset);
    }
    headers
}

/// What every host of the provider puts on, the limits aside.
pub(crate) fn common(headers: &mut HeaderMap, context: &Context) {
    put(headers, "x-request-id", &context.request_id);
    put(headers, "server", "cloudflare");
    put(headers, "cf-cache-status", "DYNAMIC");
    put(headers, "x-content-type-options", "nosniff");
    put(headers, "strict-transport-security", "max-age=31536000; includeSubDomains; preload");
    put(headers, "alt-svc", "h3=\":443\"; ma=86400");
    for cookie in [
        "__cf_bm=simulated.1; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
        "_cfuvid=simulated.2; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
    ] {
        headers.append(HeaderName::from_static("set-cookie"), HeaderValue::from_static(cookie));
    }
}

/// A time as Go writes it, which is how these headers are spelled: `6ms`, `1.5s`, `6m0s`, `1h2m3.5s`.
fn go_duration(time: SignedDuration) -> String {
    let millis = time.as_millis();
    if millis < 1000 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    let fraction = format!("{:03}", rest % 1000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{point}{fraction}s", rest / 1000);
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_as_go_does() {
        for (millis, text) in [
            (0, "0s"),
            (6, "6ms"),
            (1_000, "1s"),
            (50_529, "50.529s"),
            (90_000, "1m30s"),
            (360_000, "6m0s"),
            (3_723_500, "1h2m3.5s"),
        ] {
            assert_eq!(go_duration(SignedDuration::from_millis(millis)), text);
        }
    }
}
