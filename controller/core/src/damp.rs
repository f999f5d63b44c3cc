//! When a status is worth a write, and what of it a replica may write.
//!
//! Proxies are told at once without this. A status is for people, for the other replicas and for a start after
//! this one: what began or ended is written at once, what merely moved at a slow pace, and nothing more often than
//! a bound, whatever happens. Every write of another replica counts towards the pace as one's own does.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use penstock_crds::account::status::ProviderAccountStatus;
use penstock_proto::ids::{AccountId, ObjectId};
use penstock_proto::limits::Limits;
use penstock_proto::snapshot::AccountState;

use crate::reconcile::{Change, StatusWrite};
use crate::status;
use crate::validate::Kind;

/// Between two writes of something that merely moved: at most 12 in any minute.
pub const SMALL_EVERY: Duration = Duration::from_secs(5);

/// So many in a row are written at once …
const BURST: u32 = 15;
/// … and from then on one in this time. In any minute at most 15 + 40.
const REFILL: Duration = Duration::from_millis(1_500);

/// Written in one go. A plan is out of date when thousands of accounts are written, and what is limited meanwhile
/// must not wait for all of them.
pub const AT_MOST: usize = 256;

/// An end that moves by less than this is the same end, told again.
const SAME_END: SignedDuration = SignedDuration::from_secs(10);

/// How much a change matters to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Something moved.
    Small,
    /// Something began or ended.
    Transition,
}

/// Says when each object's status may be written. Time is what has passed since an instant of the caller's, on a
/// clock that never goes back.
#[derive(Debug, Default)]
pub struct Pacer {
    paces: BTreeMap<(Kind, ObjectId), Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    /// The version of the object that was seen last.
    seen: Option<String>,
    /// What this replica's last write was based on: a plan that still wishes for it is out of date.
    tried: Option<String>,
    last: Option<Duration>,
    /// When the burst is whole again.
    whole: Duration,
}

impl Pacer {
    /// The versions of the accounts as they are now: what others wrote counts, too.
    pub fn saw(&mut self, versions: &BTreeMap<AccountId, String>, now: Duration) {
        for (id, version) in versions {
            let pace = self.paces.entry((Kind::Account, id.clone())).or_default();
            if pace.seen.as_ref() == Some(version) {
                continue;
            }
            let own = pace.seen.is_none() || pace.tried == pace.seen;
            if !own {
                pace.count(now);
            }
            pace.seen = Some(version.clone());
        }
        self.paces.retain(|(kind, id), pace| {
            (*kind == Kind::Account && versions.contains_key(id)) || pace.is_remembered(now)
        });
    }

    /// What of these a replica may write now, what began or ended first, and when there will be more; everything, however
    /// soon, if `all`.
    pub fn choose(
        &self,
        writes: &[StatusWrite],
        leads: bool,
        now: Duration,
        all: bool,
    ) -> (Vec<StatusWrite>, Option<Duration>) {
        let (mut due, mut next) = (Vec::new(), None::<Duration>);
        for (write, weight) in writes.iter().filter_map(|write| allowed(write, leads)) {
            match self.due(&write, weight, now) {
                Some(at) if at <= now || all => due.push((weight, write)),
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        due.sort_by_key(|(weight, _)| Reverse(*weight));
        if due.len() > AT_MOST && !all {
            due.truncate(AT_MOST);
            next = Some(now);
        }
        (due.into_iter().map(|(_, write)| write).collect(), next)
    }

    /// When this may be written: at `now`, later, or (`None`) not at all, because it was and the answer of the
    /// source is still on its way.
    pub fn due(&self, write: &StatusWrite, weight: Weight, now: Duration) -> Option<Duration> {
        let (kind, id, base) = write.target();
        let Some(pace) = self.paces.get(&(kind, id.clone())) else { return Some(now) };
        if base.is_some() && pace.tried.as_deref() == base {
            return None;
        }
        Some(pace.earliest(weight).max(now))
    }

    /// It was written, or tried to.
    pub fn wrote(&mut self, write: &StatusWrite, now: Duration) {
        let (kind, id, base) = write.target();
        let pace = self.paces.entry((kind, id.clone())).or_default();
        pace.tried = base.map(str::to_owned);
        pace.count(now);
    }

    /// It was not written, and may be tried again as it is.
    pub fn failed(&mut self, write: &StatusWrite) {
        let (kind, id, _) = write.target();
        if let Some(pace) = self.paces.get_mut(&(kind, id.clone())) {
            pace.tried = None;
        }
    }
}

impl Pace {
    fn is_remembered(&self, now: Duration) -> bool {
        self.whole > now || self.last.is_some_and(|last| now < last + SMALL_EVERY)
    }

    fn earliest(&self, weight: Weight) -> Duration {
        // So full that one more would overflow it.
        let room = self.whole.saturating_sub(REFILL * (BURST - 1));
        match weight {
            Weight::Transition => room,
            Weight::Small => room.max(self.last.map_or(Duration::ZERO, |last| last + SMALL_EVERY)),
        }
    }

    fn count(&mut self, now: Duration) {
        self.last = Some(now);
        self.whole = self.whole.max(now) + REFILL;
    }
}

/// What of a write a replica may do, and how much it matters; `None`: nothing. Whoever does not lead only adds
/// what it knows and the object does not.
fn allowed(write: &StatusWrite, leads: bool) -> Option<(StatusWrite, Weight)> {
    if leads {
        let weight = match write {
            StatusWrite::Account(_, change) => account_weight(change),
            StatusWrite::Pool(..) | StatusWrite::Grant(..) => Weight::Transition,
        };
        return Some((write.clone(), weight));
    }
    let StatusWrite::Account(id, change) = write else { return None };
    let shared = shared(change)?;
    let weight = knowledge_weight(change);
    Some((StatusWrite::Account(id.clone(), Box::new(shared)), weight))
}

/// The status as it stands with what this replica knows more; `None`: nothing.
fn shared(change: &Change<ProviderAccountStatus>) -> Option<Change<ProviderAccountStatus>> {
    let Change { based_on, held, wanted } = change;
    let (before, after) = (limits_of(held.as_ref()), limits_of(Some(wanted)));
    let mut joined = before.clone();
    joined.join(&after);
    let rejected = |status: &ProviderAccountStatus| {
        status.credentials.as_ref().and_then(|credentials| credentials.rejected_fingerprint.clone())
    };
    let known = held.as_ref().and_then(rejected);
    if joined == before && rejected(wanted) == known {
        return None;
    }
    let mut next = held.clone().unwrap_or_default();
    next.windows.clone_from(&wanted.windows);
    next.cooldowns.clone_from(&wanted.cooldowns);
    match (&mut next.credentials, &wanted.credentials) {
        (Some(held), Some(wanted)) => held.rejected_fingerprint.clone_from(&wanted.rejected_fingerprint),
        (held @ None, Some(wanted)) => *held = Some(wanted.clone()),
        (_, None) => {}
    }
    Some(Change { based_on: based_on.clone(), held: held.clone(), wanted: next })
}

fn account_weight(change: &Change<ProviderAccountStatus>) -> Weight {
    let Change { held, wanted, .. } = change;
    let Some(held) = held else { return Weight::Transition };
    let same = held.observed_generation == wanted.observed_generation
        && held.state == wanted.state
        && held.reason == wanted.reason
        && held.credentials.as_ref().map(|it| it.kind) == wanted.credentials.as_ref().map(|it| it.kind)
        && conditions(&held.conditions).eq(conditions(&wanted.conditions));
    if same { knowledge_weight(change) } else { Weight::Transition }
}

fn conditions(all: &[Condition]) -> impl Iterator<Item = (&str, &str, &str)> {
    all.iter().map(|one| (one.type_.as_str(), one.status.as_str(), one.reason.as_str()))
}

fn knowledge_weight(change: &Change<ProviderAccountStatus>) -> Weight {
    let Change { held, wanted, .. } = change;
    let rejected = |status: Option<&ProviderAccountStatus>| {
        status.and_then(|status| status.credentials.as_ref()?.rejected_fingerprint.clone())
    };
    let (before, after) = (limits_of(held.as_ref()), limits_of(Some(wanted)));
    let moved = rejected(held.as_ref()) != rejected(Some(wanted))
        || ends_moved(&before, &after)
        || windows_moved(&before, &after);
    if moved { Weight::Transition } else { Weight::Small }
}

/// Whether a cooldown began, ended, or got another end.
fn ends_moved(before: &Limits, after: &Limits) -> bool {
    let ends = |limits: &Limits| -> BTreeMap<_, _> {
        limits
            .cooldowns()
            .filter_map(|(scope, history)| {
                Some((scope.clone(), history.parts().0.iter().map(|entry| entry.until).max()?))
            })
            .collect()
    };
    let (before, after) = (ends(before), ends(after));
    let same_end = |scope: &_, until: &jiff::Timestamp| {
        before.get(scope).is_some_and(|held| until.duration_since(*held).abs() < SAME_END)
    };
    before.len() != after.len() || after.iter().any(|(scope, until)| !same_end(scope, until))
}

/// Whether a window is new, began anew, or the provider's word on it changed.
fn windows_moved(before: &Limits, after: &Limits) -> bool {
    after.windows().any(|(name, window)| {
        before.window(name).is_none_or(|held| held.status != window.status || held.rolled_over_to(window))
    })
}

fn limits_of(status: Option<&ProviderAccountStatus>) -> Limits {
    let mut state = AccountState::default();
    if let Some(status) = status {
        status::join(&mut state, status);
    }
    state.limits
}
