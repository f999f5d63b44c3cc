//! Deciding the next step.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::snapshot::Strategy;
use rand::Rng;

use super::{After, Attempts, Choice, Current, MOST_SENT, Rules, Step, plan};
use crate::classify::{Outcome, TransportError};
use crate::exhausted;
use crate::live::Live;
use crate::pool::PoolView;
use crate::retry::{SERVER_FAULTS, SHORTEST_WAIT, overload_pause, windowless_pause};
use crate::select::{Chosen, Query, Reason, Selection, Unavailable, Why, select};
use crate::view::View;

/// How soon a request that is held looks again for a free slot, if nobody tells it of one.
const SLOT_POLL: SignedDuration = SignedDuration::from_millis(100);

impl Attempts {
    /// Decides what to do now. Call again after [`Step::WaitUntil`], and after [`Attempts::record`].
    pub fn next(&mut self, live: &mut Live, view: &View, now: Timestamp, rng: &mut impl Rng) -> Step {
        self.current = None;
        let Some(pool) = view.pool(&self.request.pool) else { return self.give_up(None, Vec::new(), now) };
        self.rules =
            Rules { attempts: pool.pool.attempts.max(1), overload_retries: pool.pool.overload_retries };
        if self.is_spent() || now >= self.request.deadline {
            return self.give_up(Some(pool), self.reasons(pool, live, now), now);
        }
        if let Some(until) = self.pause(now, rng) {
            return Step::WaitUntil(until);
        }
        let chance = *self.chance.get_or_insert_with(|| rng.random());
        let mut reasons = Vec::new();
        for leg in plan::legs(&self.request, pool) {
            let may_absorb = !self.absorbed;
            let query =
                Query { pool, request: &self.request, leg, tried: &self.tried, may_absorb, now, chance };
            match select(&query, live) {
                Selection::Chosen(chosen) => {
                    let Chosen { candidate, model, why, lost_at } = chosen;
                    let (candidate, model) = (Arc::clone(candidate), model.to_owned());
                    let ticket = live.acquire(&candidate, lost_at, now);
                    let why = self.why(why, &candidate.account.id);
                    self.place(pool, live, &candidate.account.id, why, now);
                    let probe = ticket.probe;
                    let current = Current {
                        candidate: Arc::clone(&candidate),
                        model: model.clone(),
                        sent_at: now,
                        probe,
                    };
                    self.current = Some(current);
                    let number = u32::try_from(self.made.len() + 1).unwrap_or(u32::MAX);
                    return Step::Try(Choice { candidate, model, why, number, ticket });
                }
                Selection::Wait(until) => {
                    self.absorbed = true;
                    return self.wait(until, now);
                }
                Selection::None(more) => reasons.extend(more),
            }
        }
        self.hold_or_give_up(pool, reasons, now)
    }

    /// Whether no further attempt may be made, whoever could serve.
    fn is_spent(&self) -> bool {
        let Some(last) = &self.last else { return false };
        // Of a connection that never stood, the body was not sent.
        let unsent =
            matches!(last.outcome, Outcome::Unreachable(TransportError::Connect | TransportError::Tls));
        self.made.len() >= MOST_SENT
            || self.failures >= self.rules.attempts
            || self.server_faults > SERVER_FAULTS
            || last.outcome.is_relayed()
            || last.outcome == Outcome::ClientLeft
            || (!self.request.replayable && !unsent)
    }

    /// Until when the last outcome asks to wait, if it does.
    fn pause(&mut self, now: Timestamp, rng: &mut impl Rng) -> Option<Timestamp> {
        let later = |wait: SignedDuration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let asked = match std::mem::replace(&mut self.after, After::Nothing) {
            After::Nothing => None,
            After::Windowless => Some(later(windowless_pause(rng))),
            After::Until(until) => Some(until),
            After::Overload(until) => {
                let retry = self.overloads.saturating_sub(1);
                Some(later(overload_pause(retry, rng)).max(until.unwrap_or(now)))
            }
        };
        self.not_before = asked.or(self.not_before).filter(|until| *until > now);
        self.not_before.map(|until| until.min(self.request.deadline))
    }

    fn wait(&self, until: Timestamp, now: Timestamp) -> Step {
        let soonest = now.checked_add(SHORTEST_WAIT).unwrap_or(Timestamp::MAX);
        Step::WaitUntil(until.max(soonest).min(self.request.deadline.max(soonest)))
    }

    fn hold_or_give_up(&mut self, pool: &PoolView, reasons: Vec<Unavailable>, now: Timestamp) -> Step {
        let since = *self.holding_since.get_or_insert(now);
        let hold = SignedDuration::try_from(pool.pool.hold).unwrap_or(SignedDuration::MAX);
        let latest = since.checked_add(hold).unwrap_or(Timestamp::MAX).min(self.request.deadline);
        let busy = reasons.iter().any(|one| one.reason == Reason::Busy);
        let slot = busy.then(|| now.checked_add(SLOT_POLL).ok()).flatten();
        let recovery = reasons.iter().filter_map(|one| one.reason.until()).chain(slot).min();
        match recovery {
            Some(at) if at <= latest => self.wait(at, now),
            _ => self.give_up(Some(pool), reasons, now),
        }
    }

    fn give_up(&self, pool: Option<&PoolView>, reasons: Vec<Unavailable>, now: Timestamp) -> Step {
        let last = self.last.as_ref().map(|last| exhausted::Last {
            outcome: &last.outcome,
            message: &last.message,
            relayable: last.relayable,
            provider: &last.candidate.account.provider,
        });
        let why = if now >= self.request.deadline {
            exhausted::End::Late
        } else if pool.is_none_or(|pool| pool.candidates.is_empty()) {
            exhausted::End::EmptyPool
        } else {
            exhausted::End::Tried
        };
        Step::GiveUp(exhausted::exhausted(&self.request, reasons, last, why, now))
    }

    /// Why each account cannot serve, for the answer after the last attempt.
    fn reasons(&self, pool: &PoolView, live: &Live, now: Timestamp) -> Vec<Unavailable> {
        let mut all: Vec<Unavailable> = Vec::new();
        for leg in plan::legs(&self.request, pool) {
            let (tried, chance) = (&self.tried[..], self.chance.unwrap_or_default());
            let query = Query { pool, request: &self.request, leg, tried, may_absorb: false, now, chance };
            all.extend(crate::select::unavailable(&query, live));
        }
        all
    }

    fn why(&self, why: Why, account: &penstock_proto::ids::AccountId) -> Why {
        let last = self.last.as_ref().map(|last| &last.candidate.account.id);
        match last {
            Some(last) if last == account => Why::Again,
            Some(_) => Why::Failover,
            None if self.request.forced.is_some() => Why::Forced,
            None => why,
        }
    }

    /// Remembers where the conversation is now.
    fn place(
        &self,
        pool: &PoolView,
        live: &mut Live,
        account: &penstock_proto::ids::AccountId,
        why: Why,
        now: Timestamp,
    ) {
        let Some(session) = self.request.session else { return };
        // An account that was forced for once does not become the conversation's.
        if pool.pool.strategy != Strategy::SessionAffinity || self.request.forced.is_some() {
            return;
        }
        let moved = match why {
            Why::Session | Why::Order | Why::Forced => false,
            Why::Moved | Why::Takeover | Why::Failover => true,
            Why::Again => {
                let place = live.sessions.place(session, pool.pool.affinity_ttl, now);
                place.is_some_and(|place| place.moved)
            }
        };
        live.sessions.put(session, account, moved, now);
    }
}
