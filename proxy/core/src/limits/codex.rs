//! The Codex backend's windows, from its `x-codex-*` headers and its `codex.rate_limits` event.
//! A window is what its length says, not what its name says: plans swap primary and secondary.

use std::borrow::Cow;

use jiff::Timestamp;
use penstock_proto::limits::{Window, WindowStatus};
use serde::Deserialize;

use super::family::{Family, Field, Partial};
use super::{Windows, after};

/// Up to six hours is the short window (providers say 299 or 300 minutes).
const SHORT_MINUTES: f64 = 6.0 * 60.0;
/// Six to eight days is the weekly one (10079 or 10080).
const WEEK_MINUTES: std::ops::RangeInclusive<f64> = 6.0 * 1440.0..=8.0 * 1440.0;

/// `x-codex-` headers, without that prefix.
pub(super) fn header(rest: &str) -> Option<(Family, &str, Field)> {
    const FIELDS: [(&str, Field); 4] = [
        ("-used-percent", Field::Percent),
        ("-window-minutes", Field::Minutes),
        ("-reset-at", Field::Reset),
        ("-reset-after-seconds", Field::ResetAfter),
    ];
    let (window, field) =
        FIELDS.iter().find_map(|(suffix, field)| Some((rest.strip_suffix(suffix)?, *field)))?;
    Some((Family::Codex, window, field))
}

/// The normalised name; `None` for a window that is not there (no length, or no reset).
pub(super) fn name(partial: &Partial<'_>) -> Option<Cow<'static, str>> {
    let minutes = partial.minutes.filter(|minutes| *minutes > 0.0)?;
    partial.resets_at?;
    let base = base_name(minutes)?;
    let limit = partial.window.strip_suffix("-primary").or_else(|| partial.window.strip_suffix("-secondary"));
    Some(match limit {
        // A further family of limits, e.g. `x-codex-bengalfox-primary-…`.
        Some(limit) => Cow::Owned(format!("{base}_{}", limit.replace('-', "_"))),
        None => Cow::Borrowed(base),
    })
}

fn base_name(minutes: f64) -> Option<&'static str> {
    if minutes <= SHORT_MINUTES {
        Some("five_hour")
    } else if WEEK_MINUTES.contains(&minutes) {
        Some("seven_day")
    } else {
        // A length without a name of ours: better no window than a wrong one.
        None
    }
}

#[derive(Deserialize)]
struct RateLimitsEvent {
    rate_limits: Option<RateLimits>,
}

#[derive(Deserialize)]
struct RateLimits {
    primary: Option<EventWindow>,
    secondary: Option<EventWindow>,
}

#[derive(Deserialize)]
struct EventWindow {
    used_percent: Option<f64>,
    window_minutes: Option<f64>,
    reset_at: Option<i64>,
    reset_after_seconds: Option<f64>,
}

/// Reads the windows of a `codex.rate_limits` event (its JSON).
pub fn learn_event(json: &[u8], now: Timestamp) -> Windows {
    let limits = serde_json::from_slice::<RateLimitsEvent>(json).ok().and_then(|event| event.rate_limits);
    let windows = limits.into_iter().flat_map(|limits| [limits.primary, limits.secondary]).flatten();
    windows
        .filter_map(|window| {
            let reset = window.reset_at.and_then(|seconds| Timestamp::from_second(seconds).ok());
            let reset = reset.or_else(|| after(now, window.reset_after_seconds?))?;
            let name = base_name(window.window_minutes.filter(|minutes| *minutes > 0.0)?)?;
            let read = Window {
                utilization: window.used_percent?.max(0.0),
                resets_at: Some(reset),
                status: WindowStatus::Unknown,
                remaining: None,
                observed_at: now,
            };
            Some((Cow::Borrowed(name), read))
        })
        .collect()
}
