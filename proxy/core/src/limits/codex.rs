//! The Codex backend's windows, from its `x-codex-*` headers and its `codex.rate_limits` event.
//! A window is what its length says, not what its name says: plans swap primary and secondary.

use std::borrow::Cow;

use jiff::Timestamp;
use penstock_llm::usage::{CodexLimits, CodexWindow};
use penstock_proto::limits::{Window, WindowStatus};

use super::family::{Family, Field, Partial, underscored};
use super::{Windows, after};

/// Up to six hours is the short window (providers say 299 or 300 minutes).
const SHORT_MINUTES: f64 = 6.0 * 60.0;
/// Six to eight days is the weekly one (10079 or 10080).
const WEEK_MINUTES: std::ops::RangeInclusive<f64> = 6.0 * 1440.0..=8.0 * 1440.0;

/// `x-codex-` headers, without that prefix.
pub(super) fn header(rest: &[u8]) -> Option<(Family, &[u8], Field)> {
    const FIELDS: [(&[u8], Field); 4] = [
        (b"-used-percent", Field::Percent),
        (b"-window-minutes", Field::Minutes),
        (b"-reset-at", Field::Reset),
        (b"-reset-after-seconds", Field::ResetAfter),
    ];
    let (window, field) =
        FIELDS.iter().find_map(|(suffix, field)| Some((rest.strip_suffix(*suffix)?, *field)))?;
    Some((Family::Codex, window, field))
}

/// The normalised name; `None` for a window that is not there (no length, or no reset).
pub(super) fn name(partial: &Partial<'_>) -> Option<Cow<'static, str>> {
    let minutes = partial.minutes.filter(|minutes| *minutes > 0.0)?;
    partial.resets_at?;
    let base = base_name(minutes)?;
    let window = partial.window;
    let limit = window.strip_suffix(b"-primary").or_else(|| window.strip_suffix(b"-secondary"));
    Some(match limit {
        // A further family of limits, e.g. `x-codex-bengalfox-primary-…`.
        Some(limit) => Cow::Owned(format!("{base}_{}", underscored(limit))),
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

/// Reads the windows of a `codex.rate_limits` event.
pub fn learn_event(limits: &CodexLimits, now: Timestamp) -> Windows {
    let known = |window: &&CodexWindow| ["primary", "secondary"].contains(&window.name.as_str());
    limits.windows.iter().filter(known).filter_map(|window| read(window, now)).collect()
}

fn read(window: &CodexWindow, now: Timestamp) -> Option<(Cow<'static, str>, Window)> {
    let reset = window.resets_at.or_else(|| after(now, window.resets_in?.as_secs_f64()))?;
    #[expect(clippy::cast_precision_loss, reason = "a window's length is a small number")]
    let name = base_name(window.minutes? as f64)?;
    let read = Window {
        utilization: Some(window.used_percent).filter(|percent| percent.is_finite())?.max(0.0),
        resets_at: Some(reset),
        status: WindowStatus::Unknown,
        remaining: None,
        observed_at: now,
    };
    Some((Cow::Borrowed(name), read))
}
