//! Windows and cooldowns of an account, and the rule that merges observations of them.
//!
//! Merging is commutative, associative and idempotent (a join), so any order and any repetition of
//! observations converges to the same state in every proxy and every controller.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A reset that moves by no more than this is the same window, not a new one: providers round.
const ROLLOVER: SignedDuration = SignedDuration::from_secs(60);

/// What a provider says about one of its windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowStatus {
    /// It said nothing of the status.
    #[default]
    Unknown,
    /// Requests are served.
    Allowed,
    /// Served, and near the end.
    Warning,
    /// Requests are refused until the reset.
    Rejected,
}

/// One limit window: how full it is and when it starts anew.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Percent used; 0–100, may exceed 100.
    pub utilization: f64,
    /// When it starts anew; `None` with utilization 0 is a window that has not started.
    pub resets_at: Option<Timestamp>,
    /// The provider's word on it.
    pub status: WindowStatus,
    /// Requests or tokens left, where the provider counts them.
    pub remaining: Option<u64>,
    /// When this was observed.
    pub observed_at: Timestamp,
}

/// Why an account, or one of its models, is left alone until an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum CooldownReason {
    /// A quota window is used up.
    QuotaExhausted,
    /// Too many requests or tokens in a short time.
    Throttled,
    /// The provider is overloaded.
    Overloaded,
    /// Payment, permission or spend limit.
    Forbidden,
    /// The provider does not serve this model to this account.
    ModelUnavailable,
    /// The provider failed repeatedly; its breaker is open.
    ServerFault,
    /// The provider could not be reached repeatedly; its breaker is open.
    Unreachable,
}

impl CooldownReason {
    /// Stable label for metrics, status reasons and messages.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::QuotaExhausted => "QuotaExhausted",
            Self::Throttled => "Throttled",
            Self::Overloaded => "Overloaded",
            Self::Forbidden => "Forbidden",
            Self::ModelUnavailable => "ModelUnavailable",
            Self::ServerFault => "ServerFault",
            Self::Unreachable => "Unreachable",
        }
    }

    /// Whether waiting ends it (a limit, answered 429), or the account is broken (answered 503).
    pub fn is_limit(self) -> bool {
        match self {
            Self::QuotaExhausted | Self::Throttled | Self::Overloaded => true,
            Self::Forbidden | Self::ModelUnavailable | Self::ServerFault | Self::Unreachable => false,
        }
    }
}

/// What a cooldown covers: a reason, and the whole account or the models matching a glob.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CooldownScope {
    /// Why.
    pub reason: CooldownReason,
    /// Glob of the models concerned; `None` = the whole account.
    pub model: Option<String>,
}

/// One observed cooldown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cooldown {
    /// When it ends.
    pub until: Timestamp,
    /// When it was observed.
    pub observed_at: Timestamp,
}

/// The cooldowns of one scope: those not outdone by another, and since when earlier ones are void.
///
/// An entry is outdone when another was observed no earlier *and* lasts no less long. What remains is
/// small: it grows only while later observations end sooner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CooldownHistory {
    entries: Vec<Cooldown>,
    lifted_at: Option<Timestamp>,
}

/// All limits of one account: a join of every observation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    windows: BTreeMap<String, Window>,
    cooldowns: BTreeMap<CooldownScope, CooldownHistory>,
}

impl Window {
    /// The later observation wins; ties are broken by the fuller window, so that order does not matter.
    fn join(self, other: Self) -> Self {
        if self.rank() >= other.rank() { self } else { other }
    }

    fn rank(&self) -> (Timestamp, WindowStatus, u64, Option<Timestamp>, std::cmp::Reverse<Option<u64>>) {
        let fullness = self.utilization.max(0.0).to_bits();
        (self.observed_at, self.status, fullness, self.resets_at, std::cmp::Reverse(self.remaining))
    }

    /// Whether `next` is a new window and not the same one, rounded differently.
    pub fn rolled_over_to(&self, next: &Self) -> bool {
        match (self.resets_at, next.resets_at) {
            (Some(old), Some(new)) => new.duration_since(old) > ROLLOVER,
            _ => false,
        }
    }

    /// The window as it stands now: one whose reset has passed is empty and not yet started.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        match self.resets_at {
            Some(reset) if reset <= now => Self {
                utilization: 0.0,
                resets_at: None,
                status: WindowStatus::Unknown,
                remaining: None,
                observed_at: self.observed_at,
            },
            _ => *self,
        }
    }
}

impl CooldownHistory {
    fn insert(&mut self, entry: Cooldown) {
        let outdone = |a: &Cooldown, b: &Cooldown| b.until >= a.until && b.observed_at >= a.observed_at;
        let void = self.lifted_at.is_some_and(|lift| entry.observed_at <= lift);
        if void || self.entries.iter().any(|held| outdone(&entry, held)) {
            return;
        }
        self.entries.retain(|held| !outdone(held, &entry));
        let at = self.entries.partition_point(|held| held < &entry);
        self.entries.insert(at, entry);
    }

    fn lift(&mut self, at: Timestamp) {
        if self.lifted_at.is_none_or(|lift| lift < at) {
            self.lifted_at = Some(at);
            self.entries.retain(|held| held.observed_at > at);
        }
    }

    /// When it ends, if it is in force at `now`.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.entries.iter().map(|entry| entry.until).max().filter(|until| *until > now)
    }

    /// The entries, and the instant up to which observations are void.
    pub fn parts(&self) -> (&[Cooldown], Option<Timestamp>) {
        (&self.entries, self.lifted_at)
    }
}

impl Limits {
    /// Takes in one observed window.
    pub fn observe_window(&mut self, name: &str, window: Window) {
        match self.windows.get_mut(name) {
            Some(held) => *held = held.join(window),
            None => {
                self.windows.insert(name.to_owned(), window);
            }
        }
    }

    /// Takes in one observed cooldown.
    pub fn observe_cooldown(&mut self, scope: CooldownScope, cooldown: Cooldown) {
        self.cooldowns.entry(scope).or_default().insert(cooldown);
    }

    /// Ends what was observed up to `at` in this scope.
    pub fn lift(&mut self, scope: CooldownScope, at: Timestamp) {
        self.cooldowns.entry(scope).or_default().lift(at);
    }

    /// Joins another account of the same limits.
    pub fn join(&mut self, other: &Self) {
        for (name, window) in &other.windows {
            self.observe_window(name, *window);
        }
        for (scope, history) in &other.cooldowns {
            let held = self.cooldowns.entry(scope.clone()).or_default();
            if let Some(at) = history.lifted_at {
                held.lift(at);
            }
            for entry in &history.entries {
                held.insert(*entry);
            }
        }
    }

    /// The windows by name, as observed.
    pub fn windows(&self) -> impl Iterator<Item = (&str, &Window)> {
        self.windows.iter().map(|(name, window)| (name.as_str(), window))
    }

    /// One window as observed.
    pub fn window(&self, name: &str) -> Option<&Window> {
        self.windows.get(name)
    }

    /// The cooldowns by scope.
    pub fn cooldowns(&self) -> impl Iterator<Item = (&CooldownScope, &CooldownHistory)> {
        self.cooldowns.iter()
    }

    /// The cooldowns in force at `now`, with their ends.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = (&CooldownScope, Timestamp)> {
        self.cooldowns.iter().filter_map(move |(scope, history)| Some((scope, history.until(now)?)))
    }

    /// Forgets cooldowns that have ended and lifts older than `keep`, so that state stays small.
    pub fn prune(&mut self, now: Timestamp, keep: SignedDuration) {
        for history in self.cooldowns.values_mut() {
            history.entries.retain(|entry| entry.until > now);
            if history.lifted_at.is_some_and(|at| now.duration_since(at) > keep) {
                history.lifted_at = None;
            }
        }
        self.cooldowns.retain(|_, history| !history.entries.is_empty() || history.lifted_at.is_some());
    }

    /// When [`Limits::prune`] next finds something to forget, that it would not at `now`.
    pub fn next_prune(&self, now: Timestamp, keep: SignedDuration) -> Option<Timestamp> {
        let ends =
            self.cooldowns.values().flat_map(|history| history.entries.iter().map(|entry| entry.until));
        // A lift is kept for this long and not a moment longer.
        let moment = SignedDuration::from_nanos(1);
        let lifts = self
            .cooldowns
            .values()
            .filter_map(|history| history.lifted_at?.checked_add(keep).ok()?.checked_add(moment).ok());
        ends.chain(lifts).filter(|at| *at > now).min()
    }
}

/// Whether `text` matches `glob`, where `*` stands for any run of characters. ASCII case is ignored.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    // Most globs name one model; a star matches a star, too.
    if glob == text {
        return true;
    }
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if glob.get(g) == Some(&b'*') {
            star = Some((g, t));
            g += 1;
        } else if glob.get(g).is_some_and(|c| c.eq_ignore_ascii_case(&text[t])) {
            g += 1;
            t += 1;
        } else if let Some((star_g, star_t)) = star {
            star = Some((star_g, star_t + 1));
            (g, t) = (star_g + 1, star_t + 1);
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests;
