//! What this proxy learned about its accounts and has not told the controller yet: one pending
//! observation per account, so that it stays small however long the controller is away.
//! Never blocks a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use penstock_proto::ids::AccountId;
use penstock_proto::limits::Window;
use penstock_proto::observation::Observation;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Utilisation that only crept is told this often.
const CREEP_INTERVAL: Duration = Duration::from_secs(5);

/// Utilisation that moved by this many percent points since it was last told is told at once.
const MOVED_PERCENT: f64 = 1.0;

/// Cooldowns and lifts kept per account while the controller is away; the oldest go first. Merging is a
/// join, so the last ones say nearly everything.
const KEPT: usize = 64;

/// Takes what was learned from requests and hands it to `control::report`. Cheap to clone.
#[derive(Clone, Default)]
pub struct Observations(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    urgent: Notify,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<AccountId, Observation>,
    /// Utilisation as last told, by account and window.
    told: BTreeMap<AccountId, BTreeMap<String, f64>>,
    urgent: bool,
}

impl Observations {
    /// Nothing learned yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one in; constant time for all but a few entries, never waits.
    pub fn note(&self, observation: Observation) {
        let mut state = self.0.state.lock();
        let urgent = observation.is_transition() || state.moved(&observation);
        match state.pending.get_mut(&observation.account) {
            Some(pending) => join(pending, observation),
            None => drop(state.pending.insert(observation.account.clone(), observation)),
        }
        if urgent && !state.urgent {
            state.urgent = true;
            drop(state);
            self.0.urgent.notify_one();
        }
    }

    /// Waits until something is to be told and takes it: at once what began, ended or moved; the rest
    /// every five seconds. Never empty. What could not be delivered is to be noted again.
    pub async fn take(&self) -> Vec<Observation> {
        loop {
            let tick = Instant::now() + CREEP_INTERVAL;
            // A notification may be left over from what was taken already.
            while !self.0.state.lock().urgent {
                if tokio::time::timeout_at(tick, self.0.urgent.notified()).await.is_err() {
                    break;
                }
            }
            let mut state = self.0.state.lock();
            state.urgent = false;
            let taken: Vec<_> = std::mem::take(&mut state.pending).into_values().collect();
            if !taken.is_empty() {
                for observation in &taken {
                    state.tell(observation);
                }
                return taken;
            }
        }
    }
}

impl State {
    fn moved(&self, observation: &Observation) -> bool {
        let told = self.told.get(&observation.account);
        observation.windows.iter().any(|(name, window)| {
            told.and_then(|windows| windows.get(name))
                .is_none_or(|before| (window.utilization - before).abs() >= MOVED_PERCENT)
        })
    }

    fn tell(&mut self, observation: &Observation) {
        let told = self.told.entry(observation.account.clone()).or_default();
        for (name, window) in &observation.windows {
            told.insert(name.clone(), window.utilization);
        }
    }
}

/// Joins a newer or older observation of the same account into what is pending.
fn join(pending: &mut Observation, other: Observation) {
    // No `..`: a new kind of knowledge must decide how it is joined.
    let Observation { account: _, observed_at, windows, cooldowns, lifts, rejected_fingerprint } = other;
    for (name, window) in windows {
        match pending.windows.iter_mut().find(|(held, _)| *held == name) {
            Some((_, held)) => newest(held, window),
            None => pending.windows.push((name, window)),
        }
    }
    keep_last(&mut pending.cooldowns, cooldowns);
    keep_last(&mut pending.lifts, lifts);
    if observed_at >= pending.observed_at || pending.rejected_fingerprint.is_none() {
        pending.rejected_fingerprint = rejected_fingerprint.or(pending.rejected_fingerprint.take());
    }
    pending.observed_at = pending.observed_at.max(observed_at);
}

fn newest(held: &mut Window, other: Window) {
    if other.observed_at >= held.observed_at {
        *held = other;
    }
}

fn keep_last<T: PartialEq>(held: &mut Vec<T>, more: Vec<T>) {
    for entry in more {
        if !held.contains(&entry) {
            held.push(entry);
        }
    }
    held.drain(..held.len().saturating_sub(KEPT));
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope, WindowStatus};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn used(percent: f64, second: i64) -> Observation {
        let window = Window {
            utilization: percent,
            resets_at: None,
            status: WindowStatus::Allowed,
            remaining: None,
            observed_at: at(second),
        };
        let mut observation = Observation::about("llm/a".parse().unwrap(), at(second));
        observation.windows.push(("five_hour".to_owned(), window));
        observation
    }

    fn limited(second: i64) -> Observation {
        let mut observation = Observation::about("llm/a".parse().unwrap(), at(second));
        let scope = CooldownScope { reason: CooldownReason::Throttled, model: None };
        observation.cooldowns.push((scope, Cooldown { until: at(second + 60), observed_at: at(second) }));
        observation
    }

    #[tokio::test(start_paused = true)]
    async fn a_transition_is_told_at_once_together_with_what_was_pending() {
        let observations = Observations::new();
        observations.note(used(10.0, 0));
        assert_eq!(observations.take().await.len(), 1);
        let start = Instant::now();
        observations.note(used(10.2, 1));
        observations.note(limited(2));
        let taken = observations.take().await;
        assert_eq!((start.elapsed(), taken.len()), (Duration::ZERO, 1));
        assert_eq!((taken[0].windows[0].1.utilization, taken[0].cooldowns.len()), (10.2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn utilisation_that_only_crept_waits_for_the_interval() {
        let observations = Observations::new();
        observations.note(used(10.0, 0));
        observations.take().await;
        let start = Instant::now();
        observations.note(used(10.9, 1));
        observations.take().await;
        assert!(start.elapsed() >= CREEP_INTERVAL);
        let start = Instant::now();
        observations.note(used(11.95, 2));
        observations.take().await;
        assert_eq!(start.elapsed(), Duration::ZERO, "more than one percent point is told at once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_noted_again_does_not_undo_newer_knowledge() {
        let observations = Observations::new();
        observations.note(used(10.0, 0));
        let undelivered = observations.take().await;
        observations.note(used(50.0, 5));
        for observation in undelivered {
            observations.note(observation);
        }
        assert_eq!(observations.take().await[0].windows[0].1.observed_at, at(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_absence_of_the_controller_keeps_little() {
        let observations = Observations::new();
        for second in 0..1_000 {
            observations.note(limited(second));
        }
        let taken = observations.take().await;
        assert_eq!(taken[0].cooldowns.len(), KEPT);
        assert_eq!(taken[0].cooldowns[KEPT - 1].1.observed_at, at(999));
    }
}
