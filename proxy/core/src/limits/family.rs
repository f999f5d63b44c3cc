//! One window's headers, gathered, and the names that Anthropic and OpenAI give them.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use penstock_llm::duration;
use penstock_proto::limits::{Window, WindowStatus};

use super::{codex, time};
use crate::headers::text;

/// Which header family a window was read from; the same word means different things in two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `anthropic-ratelimit-unified-<window>-…`
    Unified,
    /// `anthropic-ratelimit-<window>-…`
    Anthropic,
    /// `anthropic-priority-<window>-…`
    Priority,
    /// `anthropic-fast-<window>-…`
    Fast,
    /// `x-ratelimit-…-<window>`
    Openai,
    /// `x-codex-<window>-…`
    Codex,
}

/// What a header says of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// How many there are.
    Limit,
    /// How many are left.
    Remaining,
    /// An instant: epoch seconds or RFC 3339.
    Reset,
    /// A span until the reset.
    ResetAfter,
    /// 0–1.
    Fraction,
    /// 0–100.
    Percent,
    /// `allowed`, `allowed_warning`, `rejected`, …
    Status,
    /// Length of the window in minutes.
    Minutes,
}

/// What was gathered of one window.
#[derive(Debug)]
pub(super) struct Partial<'a> {
    pub(super) family: Family,
    pub(super) window: &'a [u8],
    limit: Option<u64>,
    remaining: Option<u64>,
    pub(super) resets_at: Option<Timestamp>,
    pub(super) percent: Option<f64>,
    status: WindowStatus,
    pub(super) minutes: Option<f64>,
}

impl<'a> Partial<'a> {
    pub(super) fn new(family: Family, window: &'a [u8]) -> Self {
        let status = WindowStatus::Unknown;
        Self {
            family,
            window,
            limit: None,
            remaining: None,
            resets_at: None,
            percent: None,
            status,
            minutes: None,
        }
    }

    pub(super) fn take(&mut self, field: Field, value: &[u8], now: Timestamp) {
        let number = || text(value)?.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
        match field {
            Field::Limit => self.limit = count(value),
            Field::Remaining => self.remaining = count(value),
            Field::Reset => self.resets_at = time::instant(value).or(self.resets_at),
            Field::ResetAfter => {
                let wait = text(value).and_then(duration::parse);
                let wait = wait.and_then(|wait| SignedDuration::try_from(wait).ok());
                let at = wait.and_then(|wait| now.checked_add(wait).ok());
                // An instant, where the provider sends both, does not depend on our clock.
                self.resets_at = self.resets_at.or(at);
            }
            Field::Fraction => self.percent = number().map(|fraction| fraction * 100.0),
            Field::Percent => self.percent = number(),
            Field::Status => self.status = text(value).map_or(WindowStatus::Unknown, status),
            Field::Minutes => self.minutes = number(),
        }
    }

    /// The window, under its normalised name; `None` if too little was said.
    pub(super) fn finish(&self, now: Timestamp) -> Option<(Cow<'static, str>, Window)> {
        let percent = match (self.percent, self.limit, self.remaining) {
            (Some(percent), ..) => percent,
            // A limit of nothing: not offered to this account, which is no reason to leave it alone.
            (None, Some(0), _) => return None,
            (None, Some(limit), Some(left)) => 100.0 * (1.0 - ratio(left, limit)),
            (None, ..) if self.status != WindowStatus::Unknown => match self.status {
                WindowStatus::Rejected => 100.0,
                _ => 0.0,
            },
            (None, None, Some(0)) => 100.0,
            (None, ..) => return None,
        };
        let name = match self.family {
            Family::Unified => unified_name(self.window),
            Family::Anthropic | Family::Openai => plain_name("", self.window),
            Family::Priority => plain_name("priority_", self.window),
            Family::Fast => plain_name("fast_", self.window),
            Family::Codex => codex::name(self)?,
        };
        let window = Window {
            utilization: percent,
            resets_at: self.resets_at,
            status: self.status,
            remaining: self.remaining,
            observed_at: now,
        };
        Some((name, window))
    }
}

/// `anthropic-` headers, without that prefix.
pub(super) fn anthropic(name: &[u8]) -> Option<(Family, &[u8], Field)> {
    let (family, rest) = if let Some(rest) = name.strip_prefix(b"ratelimit-") {
        match rest.strip_prefix(b"unified-") {
            Some(rest) => return unified(rest),
            None => (Family::Anthropic, rest),
        }
    } else if let Some(rest) = name.strip_prefix(b"priority-") {
        (Family::Priority, rest)
    } else {
        (Family::Fast, name.strip_prefix(b"fast-")?)
    };
    let (window, field) = split_last(rest)?;
    let field = match field {
        b"limit" => Field::Limit,
        b"remaining" => Field::Remaining,
        b"reset" => Field::Reset,
        _ => return None,
    };
    Some((family, window, field))
}

/// `anthropic-ratelimit-unified-<window>-(status|reset|utilization)`; the window's name is open-ended.
fn unified(rest: &[u8]) -> Option<(Family, &[u8], Field)> {
    let (window, field) = split_last(rest)?;
    let field = match field {
        b"status" => Field::Status,
        b"reset" => Field::Reset,
        b"utilization" => Field::Fraction,
        _ => return None,
    };
    // What is billed beyond the windows is no window.
    if window == b"overage" { None } else { Some((Family::Unified, window, field)) }
}

/// `x-ratelimit-(limit|remaining|reset)-<window>`.
pub(super) fn openai(rest: &[u8]) -> Option<(Family, &[u8], Field)> {
    let dash = rest.iter().position(|byte| *byte == b'-')?;
    let field = match &rest[..dash] {
        b"limit" => Field::Limit,
        b"remaining" => Field::Remaining,
        b"reset" => Field::ResetAfter,
        _ => return None,
    };
    Some((Family::Openai, &rest[dash + 1..], field))
}

/// What stands before and behind the last dash.
fn split_last(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let dash = rest.iter().rposition(|byte| *byte == b'-')?;
    Some((&rest[..dash], &rest[dash + 1..]))
}

/// A whole number.
fn count(value: &[u8]) -> Option<u64> {
    let plain = || {
        value.iter().try_fold(0, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit <= 9).then_some(number * 10 + u64::from(digit))
        })
    };
    // Eighteen digits are less than 64 bits hold.
    let number = if (1..=18).contains(&value.len()) { plain() } else { None };
    number.or_else(|| text(value)?.parse().ok())
}

/// The provider's word on a window. A word nobody knows is no reason to leave the account alone.
pub(crate) fn status(text: &str) -> WindowStatus {
    match text {
        "allowed" => WindowStatus::Allowed,
        "allowed_warning" | "queueing_soft" => WindowStatus::Warning,
        "rejected" | "rate_limited" | "blocked" | "queueing_hard" | "payment_required" => {
            WindowStatus::Rejected
        }
        _ => WindowStatus::Unknown,
    }
}

/// `5h` → `five_hour`, `7d_oi` → `seven_day_oi`; others stay, with `_` for `-`.
fn unified_name(window: &[u8]) -> Cow<'static, str> {
    match window {
        b"5h" => Cow::Borrowed("five_hour"),
        b"7d" => Cow::Borrowed("seven_day"),
        b"7d_opus" => Cow::Borrowed("seven_day_opus"),
        b"7d_sonnet" => Cow::Borrowed("seven_day_sonnet"),
        b"7d_oi" => Cow::Borrowed("seven_day_oi"),
        _ => {
            let window = underscored(window);
            let rest = |prefix| window.strip_prefix(prefix).filter(|rest| rest.starts_with('_'));
            let long = rest("5h").map(|rest| format!("five_hour{rest}"));
            let long = long.or_else(|| rest("7d").map(|rest| format!("seven_day{rest}")));
            Cow::Owned(long.unwrap_or(window))
        }
    }
}

fn plain_name(prefix: &str, window: &[u8]) -> Cow<'static, str> {
    match (prefix, window) {
        ("", b"requests") => Cow::Borrowed("requests"),
        ("", b"tokens") => Cow::Borrowed("tokens"),
        ("", b"input-tokens") => Cow::Borrowed("input_tokens"),
        ("", b"output-tokens") => Cow::Borrowed("output_tokens"),
        _ => Cow::Owned(format!("{prefix}{}", underscored(window))),
    }
}

/// A part of a header's name as part of ours.
pub(super) fn underscored(window: &[u8]) -> String {
    String::from_utf8_lossy(window).replace('-', "_")
}

/// Part of the whole, for counts far below where a float loses whole numbers.
fn ratio(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a percentage needs no 53 bits")]
    let ratio = part as f64 / whole as f64;
    ratio.min(1.0)
}
