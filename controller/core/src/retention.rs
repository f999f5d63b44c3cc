//! Which partitions of the history to create ahead and which to drop. History is kept in one partition per
//! day (UTC).

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Days for which partitions stand ready: a controller that is away for two days still finds one.
const AHEAD: i32 = 3;

/// What to do about partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partitions {
    /// Days for which a partition is missing.
    pub create: Vec<Date>,
    /// Days whose partition is older than what is kept.
    pub drop: Vec<Date>,
}

/// What to do, given the days for which partitions exist and for how many days rows are kept (today is one of
/// them; at least 1). Rows may arrive late, so yesterday has a partition too.
pub fn partitions(existing: &BTreeSet<Date>, keep_days: u32, now: Timestamp) -> Partitions {
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |offset: i32| today.saturating_add(jiff::Span::new().days(offset));
    // Nobody has history older than this, and a year before 1 does not exist.
    let keep = i32::try_from(keep_days.clamp(1, 36_500)).unwrap_or(36_500);
    let oldest = day(1 - keep);
    let wanted = (-1..=AHEAD).map(day).filter(|date| *date >= oldest);
    Partitions {
        create: wanted.filter(|date| !existing.contains(date)).collect(),
        drop: existing.iter().copied().filter(|date| *date < oldest).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn partitions_stand_ready_for_days_to_come_and_go_when_their_day_is_over() {
        let now: Timestamp = "2026-11-21T23:59:59Z".parse().unwrap();
        let existing =
            BTreeSet::from([date(2026, 11, 10), date(2026, 11, 14), date(2026, 11, 15), date(2026, 11, 21)]);
        let plan = partitions(&existing, 7, now);
        assert_eq!(plan.drop, [date(2026, 11, 10), date(2026, 11, 14)]);
        assert_eq!(plan.create, [20, 22, 23, 24].map(|day| date(2026, 11, day)));
    }

    #[test]
    fn doing_what_is_said_leaves_nothing_to_do() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        for keep in [0, 1, 2, 30, u32::MAX] {
            let plan = partitions(&BTreeSet::new(), keep, now);
            let existing = plan.create.into_iter().collect();
            assert_eq!(partitions(&existing, keep, now), Partitions::default(), "{keep}");
        }
    }
}
