//! Budgets: the periods in which they are counted (in UTC), whose spending must be known, and whether a
//! budget is spent.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use penstock_crds::ProviderAccount;
use penstock_crds::account::status::State;
use penstock_crds::values::Period;
use penstock_proto::ids::AccountId;

use crate::objects::Objects;

/// What an account has spent, as the history says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// When the period began that it was spent in: says nothing about any other.
    pub since: Timestamp,
    /// Millionths of a dollar, rounded up.
    pub micros: u64,
}

/// The accounts whose spending must be known, by when their current period began.
pub fn counted(objects: &Objects, now: Timestamp) -> BTreeMap<Timestamp, Vec<AccountId>> {
    let mut counted = BTreeMap::<_, Vec<_>>::new();
    for (id, account) in &objects.accounts {
        if let Some(budget) = &account.spec.budget {
            counted.entry(around(budget.period, now).0).or_default().push(id.clone());
        }
    }
    counted
}

/// Whether an account has spent its budget. As long as the history has not said what was spent in this
/// period, what stands in the account's status counts: a controller that starts again, perhaps while the
/// database is away, must not put a spent account back into use.
pub fn is_spent(account: &ProviderAccount, known: Option<Spent>, now: Timestamp) -> bool {
    let Some(budget) = &account.spec.budget else { return false };
    let (since, _) = around(budget.period, now);
    match known.filter(|spent| spent.since == since) {
        Some(spent) => spent.micros >= budget.usd.micros(),
        None => account.status.as_ref().is_some_and(|written| {
            written.state == Some(State::BudgetExhausted)
                && written.limited_until.is_some_and(|until| until > now)
        }),
    }
}

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
