//! The periods in which budgets are counted, in UTC.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use penstock_crds::values::Period;

/// When the period around `now` began, and when the next one does.
pub fn around(period: Period, now: Timestamp) -> (Timestamp, Timestamp) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let (first, length) = match period {
        Period::Day => (today, Span::new().days(1)),
        Period::Week => {
            let since_monday = today.weekday().since(Weekday::Monday);
            (today.saturating_sub(Span::new().days(since_monday)), Span::new().weeks(1))
        }
        Period::Month => (today.first_of_month(), Span::new().months(1)),
    };
    (midnight(first, now), midnight(first.saturating_add(length), Timestamp::MAX))
}

/// `otherwise` only at the ends of time.
fn midnight(date: Date, otherwise: Timestamp) -> Timestamp {
    date.to_zoned(TimeZone::UTC).map_or(otherwise, |midnight| midnight.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_at_midnight_on_mondays_and_on_the_first() {
        // A Saturday.
        let now: Timestamp = "2026-11-21T14:30:00Z".parse().unwrap();
        for (period, from, to) in [
            (Period::Day, "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            (Period::Week, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Period::Month, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            let expected = (from.parse().unwrap(), to.parse().unwrap());
            assert_eq!(around(period, now), expected, "{period:?}");
            assert_eq!(around(period, expected.0), expected, "{period:?}");
            assert_eq!(around(period, expected.1).0, expected.1, "{period:?}");
        }
    }
}
