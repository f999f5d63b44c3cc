//! When something learned is due to be reported: transitions at once, utilisation when it moved or when
//! nothing was heard for a while.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::{Window, WindowStatus};

/// A window that moved by this many percent points is reported.
const MOVED: f64 = 1.0;
/// So is one that was last reported this long ago.
const EVERY: SignedDuration = SignedDuration::from_secs(5);

/// What was last reported of an account.
#[derive(Debug, Clone, Default)]
pub(super) struct Reported {
    at: Option<Timestamp>,
    windows: Vec<(Cow<'static, str>, f64, WindowStatus)>,
}

impl Reported {
    /// Whether these windows are due; if so, they count as reported.
    pub(super) fn is_due(
        &mut self,
        windows: &[(Cow<'static, str>, Window)],
        is_transition: bool,
        now: Timestamp,
    ) -> bool {
        let is_old = self.at.is_none_or(|at| now.duration_since(at) >= EVERY);
        let has_news = windows.iter().any(|(name, window)| self.is_news(name, window));
        let due = is_transition || has_news || (is_old && !windows.is_empty());
        if due {
            self.at = Some(now);
            for reported in windows {
                self.note(reported);
            }
        }
        due
    }

    fn is_news(&self, name: &str, window: &Window) -> bool {
        let held = self.windows.iter().find(|(held, ..)| held == name);
        held.is_none_or(|(_, percent, status)| {
            (window.utilization - percent).abs() >= MOVED || *status != window.status
        })
    }

    fn note(&mut self, (name, window): &(Cow<'static, str>, Window)) {
        match self.windows.iter_mut().find(|(held, ..)| held == name) {
            Some((_, percent, status)) => (*percent, *status) = (window.utilization, window.status),
            None => self.windows.push((name.clone(), window.utilization, window.status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    fn window(utilization: f64) -> Vec<(Cow<'static, str>, Window)> {
        let window = Window {
            utilization,
            resets_at: None,
            status: WindowStatus::Allowed,
            remaining: None,
            observed_at: at(0),
        };
        vec![(Cow::Borrowed("five_hour"), window)]
    }

    #[test]
    fn utilisation_is_reported_when_it_moved_by_a_percent_or_after_five_seconds() {
        let mut reported = Reported::default();
        assert!(reported.is_due(&window(10.0), false, at(0)));
        assert!(!reported.is_due(&window(10.9), false, at(10)));
        assert!(reported.is_due(&window(11.0), false, at(20)));
        assert!(!reported.is_due(&window(11.5), false, at(5_019)));
        assert!(reported.is_due(&window(11.5), false, at(5_020)));
    }

    #[test]
    fn a_transition_is_reported_at_once_and_nothing_is_not() {
        let mut reported = Reported::default();
        assert!(reported.is_due(&window(10.0), false, at(0)));
        assert!(reported.is_due(&window(10.0), true, at(1)));
        assert!(reported.is_due(&[], true, at(2)));
        assert!(!reported.is_due(&[], false, at(60_000)));
    }
}
