//! The windows and waits that response headers tell of, from every provider's header family.
//! Never fails: what cannot be read is as if it were not there. Runs on every response, so names are
//! looked at by their first byte, names and numbers as bytes, and known window names cost no allocation.

mod codex;
mod family;
mod time;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::{Window, WindowStatus};

use crate::headers::Headers;
pub use codex::learn_event as learn_codex_event;
pub(crate) use family::status;
use family::{Field, Partial};
pub(crate) use time::instant;

/// Windows by normalised name: `five_hour`, `seven_day`, `seven_day_<x>`, `requests`, `tokens`, …
pub type Windows = Vec<(Cow<'static, str>, Window)>;

/// No wait is shorter: a clock may be off by this much, and a client told "0" hammers.
pub const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
/// No wait is longer: the longest window is seven days, and a day is left for clocks and rounding.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Windows that a response usually tells of at most.
const USUAL: usize = 6;

/// Whether a window is of the whole account, or of some of its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every model.
    Account,
    /// The family of models that was asked for.
    Models,
}

/// A window that the provider says is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp<'a> {
    /// Its normalised name.
    pub name: &'a str,
    /// When it starts anew.
    pub resets_at: Option<Timestamp>,
    /// What it covers.
    pub extent: Extent,
}

/// Reads all windows of a response.
pub fn learn(headers: &Headers, now: Timestamp) -> Windows {
    let mut partials: Vec<Partial<'_>> = Vec::new();
    for line in headers.iter() {
        // Nearly all headers are done with here.
        let Some((family, window, field)) = window_header(line.name()) else { continue };
        // The lines of a window mostly stand together.
        let at = partials.iter().rposition(|p| p.family == family && p.window == window);
        let at = at.unwrap_or_else(|| {
            if partials.is_empty() {
                partials.reserve(USUAL);
            }
            partials.push(Partial::new(family, window));
            partials.len() - 1
        });
        partials[at].take(field, line.value(), now);
    }
    let mut windows = Vec::with_capacity(partials.len());
    windows.extend(partials.iter().filter_map(|partial| partial.finish(now)));
    windows
}

/// When `retry-after-ms` or `retry-after` says to come back; `None` if neither says anything usable.
pub fn retry_after(headers: &Headers, now: Timestamp) -> Option<Timestamp> {
    let text = |name: &str| headers.text(name).map(str::trim);
    let exact = text("retry-after-ms").and_then(|ms| Some(time::positive(ms)? / 1000.0));
    let wait = exact.or_else(|| text("retry-after").and_then(time::positive));
    let date = || text("retry-after").and_then(time::http_date).and_then(|date| clamp(date, now));
    wait.and_then(|seconds| after(now, seconds)).or_else(date)
}

/// `now` and so many seconds, clamped. `None` for zero, negative and non-finite numbers.
pub fn after(now: Timestamp, seconds: f64) -> Option<Timestamp> {
    if !seconds.is_finite() || seconds <= 0.0 {
        return None;
    }
    let wait = SignedDuration::try_from_secs_f64(seconds).unwrap_or(LONGEST);
    now.checked_add(wait.clamp(SHORTEST, LONGEST)).ok()
}

/// An instant in the future, clamped to a second to eight days from now. `None` for the past.
pub fn clamp(instant: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let wait = instant.duration_since(now);
    if wait <= SignedDuration::ZERO { None } else { now.checked_add(wait.clamp(SHORTEST, LONGEST)).ok() }
}

/// Whether a response says anything about limits at all.
pub fn says_anything(headers: &Headers) -> bool {
    headers.iter().any(|line| window_header(line.name()).is_some())
        || ["retry-after", "retry-after-ms"].iter().any(|name| headers.contains(name))
}

/// The quota windows (not the per-minute limits) that the provider rejects.
pub fn rejected(windows: &Windows) -> impl Iterator<Item = UsedUp<'_>> {
    let rejected = windows.iter().filter(|(_, window)| window.status == WindowStatus::Rejected);
    rejected.map(|(name, window)| UsedUp { name, resets_at: window.resets_at, extent: extent(name) })
}

/// The windows that are full by number: per-minute limits with nothing left, Codex windows at 100 %.
pub fn full(windows: &Windows) -> impl Iterator<Item = UsedUp<'_>> {
    let full = |window: &Window| window.remaining == Some(0) || window.utilization >= 100.0;
    let full = windows.iter().filter(move |(_, window)| full(window));
    full.map(|(name, window)| UsedUp { name, resets_at: window.resets_at, extent: extent(name) })
}

/// `five_hour` and `seven_day` are of the account; `seven_day_opus` is of a family of models.
pub(crate) fn extent(name: &str) -> Extent {
    let of_models = ["five_hour_", "seven_day_"].iter().any(|prefix| name.starts_with(prefix));
    if of_models { Extent::Models } else { Extent::Account }
}

/// Which window a header tells of, and what. `None` for all other headers.
fn window_header(name: &[u8]) -> Option<(family::Family, &[u8], Field)> {
    match name.first()? {
        b'a' => family::anthropic(name.strip_prefix(b"anthropic-")?),
        b'x' => match name.strip_prefix(b"x-ratelimit-") {
            Some(rest) => family::openai(rest),
            None => codex::header(name.strip_prefix(b"x-codex-")?),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
