//! Ids and days. A request's id is a `UUIDv7`, so it carries the millisecond the request was received;
//! rows are keyed and partitioned by the id alone, and every question about time becomes one about ids.
//!
//! Because nothing but the id decides where a row belongs, the same event replayed in any shape meets
//! the row that is already there.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use uuid::{Uuid, Variant};

/// A day in UTC that has a partition of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(Date);

/// When a request was received, as its id says; `None` for an id that is no `UUIDv7`.
pub(super) fn time_of(id: Uuid) -> Option<Timestamp> {
    if id.get_version_num() != 7 || id.get_variant() != Variant::RFC4122 {
        return None;
    }
    let millis = i64::try_from(id.as_u128() >> 80).ok()?;
    Timestamp::from_millisecond(millis).ok()
}

/// The smallest id of its millisecond. Instants before 1970 count as 1970.
pub(super) fn first_id_at(at: Timestamp) -> Uuid {
    let millis = u128::try_from(at.as_millisecond()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

impl Day {
    /// The day of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self(at.to_zoned(TimeZone::UTC).date())
    }

    /// The day a request was received, as its id says; `None` for an id that is no `UUIDv7`.
    pub fn of_id(id: Uuid) -> Option<Self> {
        time_of(id).map(Self::of)
    }

    /// This many days later, or earlier; stays within the years 1970 to 9999.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days.days()).max(jiff::civil::date(1970, 1, 1)))
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        self.0.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }

    /// The smallest id of the day.
    pub(super) fn first_id(self) -> Uuid {
        first_id_at(self.start())
    }

    /// The smallest id after the day. Not the start of the next day: that may not exist (year 9999).
    pub(super) fn end_id(self) -> Uuid {
        let end = self.start().saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        first_id_at(end)
    }

    /// The name of its partition.
    pub(super) fn partition(self) -> String {
        format!("requests_{:04}{:02}{:02}", self.0.year(), self.0.month(), self.0.day())
    }

    /// Reads a partition's name.
    pub(super) fn from_partition(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("requests_")?;
        if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let date = Date::new(
            digits.get(..4)?.parse().ok()?,
            digits.get(4..6)?.parse().ok()?,
            digits.get(6..)?.parse().ok()?,
        );
        date.ok().map(Self)
    }

    /// The date, for a query's parameter.
    pub(super) fn date(self) -> Date {
        self.0
    }

    /// The day of a date read from the database.
    pub(super) fn from_date(date: Date) -> Self {
        Self(date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn a_day_holds_the_ids_of_its_milliseconds_and_no_others() {
        let day = Day::of(at("2026-11-21T13:00:00Z"));
        assert_eq!(day.partition(), "requests_20261121");
        assert_eq!(Day::from_partition("requests_20261121"), Some(day));
        assert_eq!(day.first_id(), first_id_at(at("2026-11-21T00:00:00Z")));
        assert_eq!(day.end_id(), day.plus(1).first_id());
        assert!(first_id_at(at("2026-11-21T23:59:59.999Z")) < day.end_id());
    }

    #[test]
    fn only_a_uuid_v7_says_when_its_request_was_received() {
        assert_eq!(time_of(Uuid::nil()), None);
        assert_eq!(time_of(Uuid::max()), None);
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_795_000_000, 5_000_000));
        assert_eq!(time_of(id), Timestamp::from_millisecond(1_795_000_000_005).ok());
    }

    #[test]
    fn names_that_are_no_partition_of_a_day_are_not_read_as_one() {
        for name in ["requests", "requests_2026112", "requests_20261341", "requests_minute"] {
            assert_eq!(Day::from_partition(name), None, "{name}");
        }
    }
}
