//! How what proxies learned enters the world, and whether it must be told at once.

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::Limits;
use penstock_proto::observation::Observation;

use crate::validate::account;
use crate::world::{Observed, World};

/// A window's utilisation that moved by less than this, in percent, waits for the next regular publication.
const STEP: f64 = 1.0;

/// How long the end of a cooldown is remembered, so that a late report of the cooldown does not revive it.
/// Longer than any proxy keeps reports while the controller is away and still delivers them in order.
pub(crate) const REMEMBER_LIFTS: SignedDuration = SignedDuration::from_hours(24);

impl World {
    /// Takes in one observation by the join: order and repetition do not matter.
    pub fn observe(&mut self, observation: &Observation, now: Timestamp) -> Observed {
        let Some(object) = self.objects.accounts.get(&observation.account) else { return Observed::Nothing };
        // A word on a credential that was replaced in the meantime says nothing about the new one.
        let current = account::check(&observation.account, object, &self.objects, now).fingerprint();
        let rejected = observation.rejected_fingerprint.as_ref();
        let rejected =
            rejected.filter(|rejected| current.as_ref().is_none_or(|current| current == *rejected));
        let state = self.observed.entry(observation.account.clone()).or_default();
        let before = state.clone();
        observation.merge_into(&mut state.limits);
        if rejected.is_some() {
            state.rejected_fingerprint = rejected.cloned();
        }
        state.limits.prune(now, REMEMBER_LIFTS);
        if *state == before {
            Observed::Nothing
        } else if before.rejected_fingerprint != state.rejected_fingerprint
            || moved(&before.limits, &state.limits, now)
        {
            Observed::Change
        } else {
            Observed::Small
        }
    }
}

fn moved(before: &Limits, after: &Limits, now: Timestamp) -> bool {
    if !before.in_force(now).eq(after.in_force(now)) {
        return true;
    }
    after.windows().any(|(name, window)| {
        before.window(name).is_none_or(|held| {
            held.status != window.status
                || held.rolled_over_to(window)
                || (held.utilization - window.utilization).abs() >= STEP
        })
    })
}
