//! Anthropic's response headers: ids, and the limits of the account in its family of headers.

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::{
    limits::{AccountKind, Exhausted, Reading},
    reply::{Context, put},
};

/// Announced, never enforced, where an account has no such limit.
const USUAL_REQUESTS: u64 = 4_000;
/// Announced, never enforced, where an account has no such limit.
const USUAL_TOKENS: u64 = 2_000_000;
/// Below this a limit is somebody's experiment, and rounding would make it look used up.
const ROUNDED_FROM: u64 = 100_000;
/// From here on a window warns.
const WARNS_FROM: f64 = 0.9;

/// The headers of an answer; `limited` is the window that refused the request, if one did.
pub(crate) fn headers(context: &Context, limited: Option<(Exhausted, Timestamp)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(32);
    put(&mut headers, "request-id", &context.request_id);
    put(&mut headers, "anthropic-organization-id", &context.organization);
    put(&mut headers, "server", "cloudflare");
    put(&mut headers, "cf-cache-status", "DYNAMIC");
    put(&mut headers, "x-robots-tag", "none");
    put(&mut headers, "strict-transport-security", "max-age=31536000; includeSubDomains; preload");
    put(
        &mut headers,
        "set-cookie",
        "_cfuvid=simulated.1; HttpOnly; SameSite=None; Secure; Path=/; Domain=api.anthropic.com",
    );
    let windows = limited.is_some_and(|(by, _)| by != Exhausted::PerMinute);
    if context.kind == AccountKind::Subscription || windows {
        unified(&mut headers, context, limited);
    }
    if context.kind == AccountKind::ApiKey && !windows {
        per_minute(&mut headers, context, limited.is_some_and(|(by, _)| by == Exhausted::PerMinute));
    }
    headers
}

fn per_minute(headers: &mut HeaderMap, context: &Context, used_up: bool) {
    let minute = &context.readings.minute;
    let requests = remaining(minute.quota.requests, USUAL_REQUESTS, minute.requests, used_up);
    let tokens = remaining(minute.quota.tokens, USUAL_TOKENS, minute.tokens, used_up);
    let reset = minute.resets_at.to_string();
    for (of, (limit, left)) in
        [("requests", requests), ("tokens", tokens), ("input-tokens", tokens), ("output-tokens", tokens)]
    {
        let left = if of == "requests" || limit < ROUNDED_FROM { left } else { (left + 500) / 1000 * 1000 };
        for (what, value) in
            [("limit", limit.to_string()), ("remaining", left.to_string()), ("reset", reset.clone())]
        {
            named(headers, &format!("anthropic-ratelimit-{of}-{what}"), &value);
        }
    }
}

/// Limit and what is left of it. A limit that is not enforced never runs out.
fn remaining(limit: Option<u64>, usual: u64, used: u64, used_up: bool) -> (u64, u64) {
    match limit {
        Some(limit) => (limit, if used_up { 0 } else { limit.saturating_sub(used) }),
        None => (usual, if used_up { 0 } else { usual - 1 }),
    }
}

fn unified(headers: &mut HeaderMap, context: &Context, limited: Option<(Exhausted, Timestamp)>) {
    let refusing = limited.filter(|(by, _)| *by != Exhausted::PerMinute);
    let readings = &context.readings;
    window(headers, "5h", &readings.five_hour, rejected(refusing, Exhausted::FiveHour));
    window(headers, "7d", &readings.seven_day, rejected(refusing, Exhausted::SevenDay));
    let by_model = rejected(refusing, Exhausted::Model);
    let of_family = context.family.as_ref().is_some_and(|family| context.model.contains(family));
    if by_model.is_some() || of_family {
        window(headers, "7d_oi", &readings.model.unwrap_or(readings.seven_day), by_model);
    }
    let fullest_is_week = readings.seven_day.utilization > readings.five_hour.utilization;
    let by_itself = if fullest_is_week { Exhausted::SevenDay } else { Exhausted::FiveHour };
    let by = refusing.map_or(by_itself, |(by, _)| by);
    let (claim, own_reset) = match by {
        Exhausted::SevenDay => ("seven_day", readings.seven_day.resets_at),
        Exhausted::Model => ("seven_day_oi", readings.seven_day.resets_at),
        Exhausted::FiveHour | Exhausted::PerMinute => ("five_hour", readings.five_hour.resets_at),
    };
    let reset = refusing.map_or(own_reset, |(_, until)| until);
    let status = if refusing.is_some() { "rejected" } else { "allowed" };
    put(headers, "anthropic-ratelimit-unified-status", status);
    put(headers, "anthropic-ratelimit-unified-reset", reset.as_second().to_string());
    put(headers, "anthropic-ratelimit-unified-representative-claim", claim);
    put(headers, "anthropic-ratelimit-unified-fallback-percentage", "0.5");
    put(headers, "anthropic-ratelimit-unified-overage-status", "rejected");
    put(headers, "anthropic-ratelimit-unified-overage-disabled-reason", "overage_not_provisioned");
}

fn rejected(refusing: Option<(Exhausted, Timestamp)>, window: Exhausted) -> Option<Timestamp> {
    refusing.and_then(|(by, until)| (by == window).then_some(until))
}

fn window(headers: &mut HeaderMap, name: &str, reading: &Reading, rejected_until: Option<Timestamp>) {
    let status = match rejected_until {
        Some(_) => "rejected",
        None if reading.utilization >= WARNS_FROM => "allowed_warning",
        None => "allowed",
    };
    let utilization =
        if rejected_until.is_some() { reading.utilization.max(1.0) } else { reading.utilization };
    let reset = rejected_until.unwrap_or(reading.resets_at).as_second();
    let prefix = format!("anthropic-ratelimit-unified-{name}");
    named(headers, &format!("{prefix}-status"), status);
    named(headers, &format!("{prefix}-reset"), &reset.to_string());
    named(headers, &format!("{prefix}-utilization"), &((utilization * 1e4).round() / 1e4).to_string());
}

fn named(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
