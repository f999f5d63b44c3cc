//! How much room an account's windows leave, in four classes.
//!
//! Classes and not percentages, because a conversation's account is chosen by them: with percentages every
//! new number would move conversations.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::{Limits, Window};

/// Below this share of its ceiling left, a window is nearly used up.
const SCARCE: f64 = 0.10;
/// Below this share left, it is used with care.
const TIGHT: f64 = 0.25;
/// Used up this much faster than evenly over its length, it will end before its reset.
const HASTY: f64 = 0.75;

/// How much room an account has; the order is from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeadroomClass {
    /// Nearly used up.
    Scarce,
    /// Used up before its reset, if it goes on like this.
    Tight,
    /// A little faster than evenly.
    Fair,
    /// Room to spare, or nothing known: unknown is usable.
    Ample,
}

/// The windows of an account that leave less than ample room, and until when they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headroom {
    lesser: Vec<(HeadroomClass, Option<Timestamp>)>,
}

impl HeadroomClass {
    /// How many conversations it is given in proportion to the others.
    pub(crate) fn weight(self) -> u32 {
        match self {
            Self::Scarce => 1,
            Self::Tight => 2,
            Self::Fair => 4,
            Self::Ample => 8,
        }
    }
}

impl Headroom {
    pub(super) fn new(limits: &Limits, ceilings: &BTreeMap<String, f64>) -> Self {
        // Per-minute limits come and go within one request: they say nothing of where to put a
        // conversation.
        let quota = |name: &str| length(name).is_some() || ceilings.contains_key(name);
        let classed = limits.windows().filter(|(name, _)| quota(name)).map(|(name, window)| {
            let ceiling = ceilings.get(name).copied().unwrap_or(100.0);
            (class(window, ceiling, length(name)), window.resets_at)
        });
        Self { lesser: classed.filter(|(class, _)| *class != HeadroomClass::Ample).collect() }
    }

    /// The class now: a window that has been reset since is empty.
    pub fn class(&self, now: Timestamp) -> HeadroomClass {
        let holds = |resets_at: &Option<Timestamp>| resets_at.is_none_or(|reset| reset > now);
        let now = self.lesser.iter().filter(|(_, resets_at)| holds(resets_at));
        now.map(|(class, _)| *class).min().unwrap_or(HeadroomClass::Ample)
    }
}

/// Judged as of its observation, not of now, so that every proxy with the same state judges alike.
fn class(window: &Window, ceiling: f64, length: Option<SignedDuration>) -> HeadroomClass {
    let free = if ceiling > 0.0 { 1.0 - window.utilization / ceiling } else { 0.0 };
    let left = window.resets_at.zip(length).map(|(reset, length)| {
        let left = reset.duration_since(window.observed_at).as_secs_f64() / length.as_secs_f64();
        left.clamp(0.01, 1.0)
    });
    // Above 1: slower than evenly, so it lasts until its reset.
    let pace = left.map_or(1.0, |left| free / left);
    if free < SCARCE {
        HeadroomClass::Scarce
    } else if pace < HASTY || (free < TIGHT && pace < 1.0) {
        HeadroomClass::Tight
    } else if pace < 1.0 || free < TIGHT {
        HeadroomClass::Fair
    } else {
        HeadroomClass::Ample
    }
}

/// Length of a quota window, by its normalised name.
fn length(name: &str) -> Option<SignedDuration> {
    if name.starts_with("five_hour") {
        Some(SignedDuration::from_hours(5))
    } else if name.starts_with("seven_day") {
        Some(SignedDuration::from_hours(7 * 24))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use penstock_proto::limits::WindowStatus;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn headroom(
        name: &str,
        utilization: f64,
        resets_in_hours: Option<i64>,
        ceiling: Option<f64>,
    ) -> Headroom {
        let mut limits = Limits::default();
        let window = Window {
            utilization,
            resets_at: resets_in_hours.map(at),
            status: WindowStatus::Allowed,
            remaining: None,
            observed_at: at(0),
        };
        limits.observe_window(name, window);
        Headroom::new(&limits, &ceiling.map(|percent| (name.to_owned(), percent)).into_iter().collect())
    }

    #[test]
    fn room_is_judged_by_how_soon_the_window_would_reach_its_ceiling_against_its_reset() {
        use HeadroomClass::{Ample, Fair, Scarce, Tight};
        for (name, used, resets_in, ceiling, expected) in [
            ("five_hour", 0.0, None, None, Ample),
            ("five_hour", 40.0, Some(2), None, Ample),
            ("five_hour", 50.0, Some(3), None, Fair),
            ("five_hour", 50.0, Some(4), None, Tight),
            ("five_hour", 95.0, Some(1), None, Scarce),
            ("five_hour", 85.0, Some(1), Some(90.0), Scarce),
            ("seven_day", 80.0, Some(24), None, Fair),
            ("seven_day_opus", 80.0, Some(48), None, Tight),
            ("requests", 99.0, None, None, Ample),
        ] {
            let class = headroom(name, used, resets_in, ceiling).class(at(0));
            assert_eq!(class, expected, "{name} {used} {resets_in:?} {ceiling:?}");
        }
    }

    #[test]
    fn a_window_that_was_reset_since_leaves_ample_room() {
        let used_up = headroom("five_hour", 100.0, Some(1), None);
        assert_eq!(used_up.class(at(0)), HeadroomClass::Scarce);
        assert_eq!(used_up.class(at(1)), HeadroomClass::Ample);
    }
}
