//! Spans of time cut into points.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::rollup::Table;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Widths of a point that can be had, in seconds.
const WIDTHS: [i64; 9] = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY];

/// Points of a time series at most: more than a screen has pixels for, and small enough to send.
const MAX_POINTS: i64 = 1_000;

/// Sums by the minute are kept this long; older points are at least an hour wide.
pub const MINUTES_KEPT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Sums by the hour are kept this long; older points are at least a day wide.
pub const HOURS_KEPT: SignedDuration = SignedDuration::from_hours(92 * 24);

/// The spans of time that have a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Range {
    /// One hour by the minute.
    #[serde(rename = "1h")]
    Hour,
    /// Six hours by five minutes.
    #[serde(rename = "6h")]
    SixHours,
    /// A day by the hour.
    #[default]
    #[serde(rename = "24h")]
    Day,
    /// A week by the hour.
    #[serde(rename = "7d")]
    Week,
    /// Thirty days by the day.
    #[serde(rename = "30d")]
    Month,
}

/// What is asked: a span of time cut into points of one width. Always whole points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    from: Timestamp,
    to: Timestamp,
    width: i64,
}

impl Range {
    /// Reads `1h`, `6h`, `24h`, `7d` or `30d`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1h" => Some(Self::Hour),
            "6h" => Some(Self::SixHours),
            "24h" => Some(Self::Day),
            "7d" => Some(Self::Week),
            "30d" => Some(Self::Month),
            _ => None,
        }
    }

    /// The span that ends with the point `now` falls into.
    pub fn ending_at(self, now: Timestamp) -> Span {
        let (seconds, width) = match self {
            Self::Hour => (HOUR, MINUTE),
            Self::SixHours => (6 * HOUR, 5 * MINUTE),
            Self::Day => (DAY, HOUR),
            Self::Week => (7 * DAY, HOUR),
            Self::Month => (30 * DAY, DAY),
        };
        let to = floor(now.as_second(), width).saturating_add(width);
        Span { from: at(to.saturating_sub(seconds)), to: at(to), width }
    }
}

impl Span {
    /// From one instant to another, by the width asked for (seconds), or about 60 points. The width is
    /// widened where it is not one of ours, would make too many points, or is too fine for its age.
    /// `None` when the end is not after the beginning.
    pub fn between(from: Timestamp, to: Timestamp, width: Option<i64>, now: Timestamp) -> Option<Self> {
        if to <= from {
            return None;
        }
        let seconds = to.as_second().saturating_sub(from.as_second()).max(1);
        let age = now.duration_since(from);
        let wanted = width.unwrap_or(seconds / 60).max(seconds / MAX_POINTS);
        let finest = if age > HOURS_KEPT {
            DAY
        } else if age > MINUTES_KEPT {
            HOUR
        } else {
            MINUTE
        };
        let width = WIDTHS.into_iter().find(|width| *width >= wanted.max(finest)).unwrap_or(30 * DAY);
        // Centuries of points are nobody's question; cut the beginning rather than refuse.
        let end = ceil(to.as_second(), width);
        let start = floor(from.as_second(), width).max(end.saturating_sub(MAX_POINTS.saturating_mul(width)));
        Some(Self { from: at(start), to: at(end), width })
    }

    /// The coarsest roll-up that is fine enough.
    pub(super) fn table(self) -> Table {
        match self.width {
            DAY.. => Table::Day,
            HOUR.. => Table::Hour,
            _ => Table::Minute,
        }
    }

    /// Where the first point begins.
    pub fn from(self) -> Timestamp {
        self.from
    }

    /// Where the last point ends.
    pub fn to(self) -> Timestamp {
        self.to
    }

    /// Width of a point, seconds.
    pub fn width(self) -> i64 {
        self.width
    }

    /// Where each point begins, in milliseconds since 1970.
    pub(super) fn points(self) -> impl Iterator<Item = i64> {
        let starts =
            std::iter::successors(Some(self.from.as_second()), move |start| start.checked_add(self.width));
        let end = self.to.as_second();
        starts.take_while(move |start| *start < end).map(|start| start.saturating_mul(1000))
    }
}

fn floor(second: i64, width: i64) -> i64 {
    second.div_euclid(width).saturating_mul(width)
}

fn ceil(second: i64, width: i64) -> i64 {
    floor(second.saturating_add(width - 1), width)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn a_named_range_is_whole_points_up_to_the_one_that_has_begun() {
        let now = instant("2026-11-21T13:07:31Z");
        for (name, first, end, points) in [
            ("1h", "2026-11-21T12:08:00Z", "2026-11-21T13:08:00Z", 60),
            ("6h", "2026-11-21T07:10:00Z", "2026-11-21T13:10:00Z", 72),
            ("24h", "2026-11-20T14:00:00Z", "2026-11-21T14:00:00Z", 24),
            ("7d", "2026-11-14T14:00:00Z", "2026-11-21T14:00:00Z", 168),
            ("30d", "2026-10-23T00:00:00Z", "2026-11-22T00:00:00Z", 30),
        ] {
            let span = Range::parse(name).expect("a range").ending_at(now);
            assert_eq!((span.from, span.to), (instant(first), instant(end)), "{name}");
            assert_eq!(span.points().count(), points, "{name}");
        }
    }

    #[test]
    fn a_width_that_cannot_be_had_is_widened() {
        let now = instant("2026-11-21T13:00:00Z");
        let width = |from: &str, asked| {
            Span::between(instant(from), now, asked, now).map(|span| (span.width, span.points().count()))
        };
        assert_eq!(width("2026-11-21T12:00:00Z", Some(60)), Some((60, 60)));
        assert_eq!(width("2026-11-21T12:00:00Z", Some(61)), Some((300, 12)));
        assert_eq!(width("2026-11-21T12:00:00Z", None), Some((60, 60)));
        assert_eq!(width("2026-11-11T13:00:00Z", Some(60)), Some((3600, 240)), "minutes are gone by then");
        assert_eq!(width("2026-09-10T13:00:00Z", Some(3600)), Some((10_800, 577)), "too many points");
        assert_eq!(width("2025-11-21T13:00:00Z", Some(3600)), Some((86_400, 366)), "hours are gone by then");
        assert_eq!(width("2026-11-21T13:00:00Z", None), None, "nothing between");
        assert!(width("0001-01-01T00:00:00Z", Some(1)).is_some_and(|(_, points)| points <= 1000));
    }
}
