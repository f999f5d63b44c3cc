//! One account as this proxy sees it: pushed and own limits joined, slots, and how it takes over.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::ids::AccountId;
use penstock_proto::limits::{CooldownReason, CooldownScope, Limits, Window, glob_matches};
use penstock_proto::observation::Observation;
use penstock_proto::snapshot::AccountState;

use super::Sent;
use super::report::Reported;
use crate::classify::{Outcome, Verdict};
use crate::limits::{LONGEST, Windows};
use crate::pool::Candidate;
use crate::slots::Slots;

/// An account that takes over from another takes one more request each time this has passed, …
const RAMP_STEP: SignedDuration = SignedDuration::from_millis(250);
/// … for this long, so that one account's end does not topple the next.
const RAMP: SignedDuration = SignedDuration::from_secs(30);

/// What changes with requests, of one account.
#[derive(Debug, Default)]
pub(crate) struct LiveAccount {
    /// Pushed and own limits, joined.
    pub(crate) limits: Limits,
    pub(crate) slots: Slots,
    /// Since when a limit has been known, while one is in force.
    lost_at: Option<Timestamp>,
    pushed: Option<Arc<AccountState>>,
    rejected: Option<String>,
    ramp: Option<Ramp>,
    reported: Reported,
}

/// Taking over step by step.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    since: Timestamp,
    /// Requests in flight when it began.
    base: u32,
}

impl LiveAccount {
    /// Takes in the pushed state.
    pub(super) fn apply(&mut self, candidate: &Candidate, now: Timestamp) {
        let is_news = self.pushed.as_ref().is_none_or(|held| !Arc::ptr_eq(held, &candidate.state));
        if is_news {
            self.changing(now, |account| account.limits.join(&candidate.state.limits));
            self.pushed = Some(Arc::clone(&candidate.state));
        }
        // Lifts are kept as long as a cooldown may last that they void: the controller may still send it.
        self.limits.prune(now, LONGEST);
        let current = candidate.account.credential.as_ref().map(|credential| &credential.fingerprint);
        self.rejected.take_if(|rejected| Some(&*rejected) != current);
    }

    pub(super) fn observe(&mut self, observation: &Observation, now: Timestamp) {
        self.changing(now, |account| observation.merge_into(&mut account.limits));
        if observation.rejected_fingerprint.is_some() {
            self.rejected.clone_from(&observation.rejected_fingerprint);
        }
    }

    /// Whether the provider rejected this credential.
    pub(crate) fn rejects(&self, fingerprint: &str) -> bool {
        self.rejected.as_deref() == Some(fingerprint)
    }

    /// Since when it has been at a limit, if that is so new that others are still taking over from it.
    pub(crate) fn lost_recently(&self, now: Timestamp) -> Option<Timestamp> {
        self.lost_at.filter(|lost_at| now.duration_since(*lost_at) < RAMP)
    }

    /// Whether it may take one more request of an account that was lost; else when it may.
    pub(crate) fn ramps(&self, lost_at: Timestamp, now: Timestamp) -> Result<(), Timestamp> {
        let Some(ramp) = self.ramp.filter(|ramp| ramp.since >= lost_at) else { return Ok(()) };
        let more = self.slots.in_flight().saturating_sub(ramp.base);
        let steps = i32::try_from(more).unwrap_or(i32::MAX);
        let wait = RAMP_STEP.checked_mul(steps).unwrap_or(RAMP).min(RAMP);
        match ramp.since.checked_add(wait) {
            Ok(at) if at > now => Err(at),
            _ => Ok(()),
        }
    }

    /// Begins to take over from an account that was lost at this instant; once for each loss.
    pub(super) fn take_over(&mut self, lost_at: Timestamp, now: Timestamp) {
        if self.ramp.is_none_or(|ramp| ramp.since < lost_at) {
            self.ramp = Some(Ramp { since: now, base: self.slots.in_flight() });
        }
    }

    /// A request is over; so may be the taking over.
    pub(super) fn release(&mut self, now: Timestamp) {
        self.slots.release();
        self.ramp.take_if(|ramp| now.duration_since(ramp.since) >= RAMP);
    }

    /// Learns from the end of an attempt. Returns what the controller is to know now.
    pub(super) fn learn(
        &mut self,
        sent: &Sent<'_>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Option<Observation> {
        for (name, window) in &verdict.windows {
            self.limits.observe_window(name, *window);
        }
        let lifts = if verdict.outcome == Outcome::Success { self.lifts(sent, now) } else { Vec::new() };
        let rejected = (verdict.outcome == Outcome::CredentialRejected).then_some(sent);
        let rejected = rejected.and_then(|sent| sent.candidate.account.credential.as_ref());
        let is_transition = !verdict.cooldowns.is_empty() || !lifts.is_empty() || rejected.is_some();
        if !self.reported.is_due(&verdict.windows, is_transition, now) {
            return None;
        }
        let observation = Observation {
            windows: owned(&verdict.windows),
            cooldowns: verdict.cooldowns.clone(),
            lifts,
            rejected_fingerprint: rejected.map(|credential| credential.fingerprint.clone()),
            ..Observation::about(sent.candidate.id().clone(), now)
        };
        self.observe(&observation, now);
        Some(observation)
    }

    /// Learns windows of the account, besides the end of an attempt.
    pub(super) fn learn_windows(
        &mut self,
        id: &AccountId,
        windows: &Windows,
        now: Timestamp,
    ) -> Option<Observation> {
        for (name, window) in windows {
            self.limits.observe_window(name, *window);
        }
        if !self.reported.is_due(windows, false, now) {
            return None;
        }
        Some(Observation { windows: owned(windows), ..Observation::about(id.clone(), now) })
    }

    /// What a success ends: limits in force that the request was served in spite of. Only those noticed
    /// before it was sent: its answer may be older than a limit noticed meanwhile.
    fn lifts(&self, sent: &Sent<'_>, now: Timestamp) -> Vec<(CooldownScope, Timestamp)> {
        let concerns = |scope: &CooldownScope| {
            scope.model.as_ref().is_none_or(|glob| glob_matches(glob, sent.model))
                && scope.reason != CooldownReason::Unreachable
        };
        let ends = self.limits.cooldowns().filter(|(scope, history)| {
            let (entries, _) = history.parts();
            concerns(scope) && entries.iter().any(|entry| entry.until > now && entry.observed_at <= sent.at)
        });
        ends.map(|(scope, _)| (scope.clone(), sent.at)).collect()
    }

    /// Notices when a limit comes into force.
    fn changing(&mut self, now: Timestamp, change: impl FnOnce(&mut Self)) {
        if self.limits.in_force(now).next().is_none() {
            self.lost_at = None;
        }
        change(self);
        if self.lost_at.is_none() {
            let entries = self.limits.cooldowns().flat_map(|(_, history)| history.parts().0);
            let in_force = entries.filter(|entry| entry.until > now);
            // A pushed limit may be older than the push; a clock may be ahead of ours.
            self.lost_at = in_force.map(|entry| entry.observed_at.min(now)).max();
        }
    }
}

fn owned(windows: &Windows) -> Vec<(String, Window)> {
    windows.iter().map(|(name, window)| (name.clone().into_owned(), *window)).collect()
}
