//! What goes wrong on command: the rules in force, and which of them strikes a request.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::limits::round_up;

mod kind;

pub use kind::FaultKind;
pub(crate) use kind::{Break, Shape};

/// A rule: what goes wrong, for whom, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Only for this credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Only for paths that contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only for models that match this glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How often it strikes; `None` = until lifted, or until its reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// So many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// How likely it strikes, 0–1.
    #[serde(default = "certain")]
    pub probability: f64,
    /// For the faults that announce a reset: when, from now. Their default is the window's length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_in_seconds: Option<u32>,
    /// For the faults that break a stream: after so many events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_events: Option<usize>,
    /// For `slow`: silence before the first byte.
    #[serde(default)]
    pub first_byte_delay_ms: u64,
    /// For `slow`: silence between events.
    #[serde(default)]
    pub event_delay_ms: u64,
}

/// A rule in force.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Active {
    /// Its number.
    pub id: u64,
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// How often it struck.
    pub struck: u64,
    /// How many matching requests it has let pass.
    pub skipped: u64,
    /// The reset it announces, at which it ends by itself.
    pub until: Option<Timestamp>,
}

/// A request as the rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) account: &'a str,
    pub(crate) path: &'a str,
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
}

/// What strikes a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Strike {
    /// The fault, the reset it announces, and after how many events it breaks a stream.
    pub(crate) fault: Option<Hit>,
    pub(crate) first_byte_delay_ms: u64,
    pub(crate) event_delay_ms: u64,
    /// Whether a `slow` is among it.
    pub(crate) slow: bool,
}

/// A fault that strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) kind: FaultKind,
    pub(crate) until: Option<Timestamp>,
    pub(crate) after_events: Option<usize>,
}

/// All rules in force.
#[derive(Debug, Default)]
pub struct Faults {
    active: Vec<Active>,
    last: u64,
}

fn certain() -> f64 {
    1.0
}

impl Rule {
    /// A rule that strikes every request until it is lifted or reset.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            account: None,
            path: None,
            model: None,
            times: None,
            skip: 0,
            probability: 1.0,
            resets_in_seconds: None,
            after_events: None,
            first_byte_delay_ms: 0,
            event_delay_ms: 0,
        }
    }

    /// Only for this credential.
    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    fn concerns(&self, target: Target<'_>) -> bool {
        let applies = (target.stream || !self.kind.needs_stream())
            && (!target.model.is_empty() || !self.kind.needs_model());
        applies
            && self.account.as_deref().is_none_or(|account| account == target.account)
            && self.path.as_deref().is_none_or(|path| target.path.contains(path))
            && self.model.as_deref().is_none_or(|glob| matches_glob(glob, target.model))
    }
}

impl Faults {
    /// Puts a rule in force and returns its number.
    pub fn add(&mut self, rule: Rule, now: Timestamp) -> u64 {
        self.last += 1;
        let wait = rule
            .resets_in_seconds
            .map_or_else(|| rule.kind.usual_reset(), |seconds| Some(i64::from(seconds)));
        let until = rule.kind.usual_reset().and(wait).map(|seconds| {
            round_up(now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
        });
        self.active.push(Active { id: self.last, rule, struck: 0, skipped: 0, until });
        self.last
    }

    /// Lifts one; whether there was one.
    pub fn lift(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|active| active.id != id);
        self.active.len() < before
    }

    /// Lifts all.
    pub fn clear(&mut self) {
        self.active.clear();
    }

    /// The rules in force at `now`.
    pub fn active(&mut self, now: Timestamp) -> &[Active] {
        self.active.retain(|active| active.until.is_none_or(|until| until > now));
        &self.active
    }

    /// What strikes this request. `happens` draws with a probability.
    pub(crate) fn strike(
        &mut self,
        target: Target<'_>,
        now: Timestamp,
        mut happens: impl FnMut(f64) -> bool,
    ) -> Strike {
        let mut strike = Strike::default();
        if self.active.is_empty() {
            return strike;
        }
        self.active(now);
        for active in &mut self.active {
            let is_slow = active.rule.kind == FaultKind::Slow;
            if (!is_slow && strike.fault.is_some())
                || !active.rule.concerns(target)
                || !active.fires(&mut happens)
            {
                continue;
            }
            if is_slow {
                strike.slow = true;
                strike.first_byte_delay_ms += active.rule.first_byte_delay_ms;
                strike.event_delay_ms += active.rule.event_delay_ms;
            } else {
                let (kind, after_events) = (active.rule.kind, active.rule.after_events);
                strike.fault = Some(Hit { kind, until: active.until, after_events });
            }
        }
        self.active.retain(|active| active.rule.times.is_none_or(|times| active.struck < times));
        strike
    }
}

impl Active {
    fn fires(&mut self, happens: &mut impl FnMut(f64) -> bool) -> bool {
        if self.skipped < self.rule.skip {
            self.skipped += 1;
            return false;
        }
        let fires = self.rule.probability >= 1.0 || happens(self.rule.probability);
        self.struck += u64::from(fires);
        fires
    }
}

/// Whether `text` matches `glob`, in which `*` stands for anything.
fn matches_glob(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| matches_glob(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn faults(json: &str) -> Faults {
        let mut faults = Faults::default();
        faults.add(serde_json::from_str(json).unwrap(), at(0));
        faults
    }

    fn struck(faults: &mut Faults, account: &str, stream: bool, second: i64) -> Option<FaultKind> {
        let target = Target { account, path: "/v1/messages", model: "claude-opus-5", stream };
        faults.strike(target, at(second), |_| true).fault.map(|hit| hit.kind)
    }

    #[test]
    fn a_rule_strikes_whom_it_names_as_often_as_it_says() {
        let mut faults =
            faults(r#"{"kind":"overloaded","account":"a","times":2,"skip":1,"model":"claude-*-5"}"#);
        let seen: Vec<_> = (0..5).map(|_| struck(&mut faults, "a", true, 0)).collect();
        let hit = Some(FaultKind::Overloaded);
        assert_eq!(seen, [None, hit, hit, None, None]);
        assert_eq!(faults.active(at(0)).len(), 0);
    }

    #[test]
    fn a_fault_with_a_reset_ends_at_it() {
        let mut faults = faults(r#"{"kind":"five_hour","resetsInSeconds":30}"#);
        assert_eq!(struck(&mut faults, "a", false, 29), Some(FaultKind::FiveHour));
        assert_eq!(struck(&mut faults, "a", false, 30), None);
    }

    #[test]
    fn a_fault_of_streams_waits_for_one() {
        let mut faults = faults(r#"{"kind":"overloaded_event","times":1}"#);
        assert_eq!(struck(&mut faults, "a", false, 0), None);
        assert_eq!(struck(&mut faults, "a", true, 0), Some(FaultKind::OverloadedEvent));
    }

    #[test]
    fn slowness_joins_with_another_fault() {
        let mut faults = faults(r#"{"kind":"slow","eventDelayMs":5}"#);
        faults.add(Rule::new(FaultKind::Cut), at(0));
        let target = Target { account: "a", path: "/", model: "", stream: true };
        let strike = faults.strike(target, at(0), |_| true);
        assert_eq!((strike.event_delay_ms, strike.fault.map(|hit| hit.kind)), (5, Some(FaultKind::Cut)));
    }

    #[test]
    fn a_fault_of_a_model_waits_for_a_request_that_names_one() {
        let mut faults = faults(r#"{"kind":"model_not_found"}"#);
        let target = Target { account: "a", path: "/v1/models", model: "", stream: false };
        assert_eq!(faults.strike(target, at(0), |_| true).fault, None);
        assert_eq!(struck(&mut faults, "a", false, 0), Some(FaultKind::ModelNotFound));
    }

    #[test]
    fn a_mistyped_rule_is_refused() {
        assert!(serde_json::from_str::<Rule>(r#"{"kind":"five_hours"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"kind":"cut","acount":"a"}"#).is_err());
    }
}
