//! Taking in what an answer meant.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::event::Attempt;
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};
use penstock_proto::observation::Observation;

use super::{After, Attempts, Current, Last};
use crate::classify::{OVERLOADED, Outcome, Verdict, model_scope};
use crate::live::{Live, Sent};
use crate::request::Tried;
use crate::retry::{ABSORB, OVERLOAD_LONGEST};

impl Attempts {
    /// Takes in what the answer to the last choice meant; returns what is to be reported at once.
    pub fn record(&mut self, live: &mut Live, verdict: &Verdict, now: Timestamp) -> Option<Observation> {
        let current = self.current.take()?;
        self.made.push(attempt(&current, verdict, now));
        let set_aside = self.follow(&current, &verdict.outcome, now);
        let Current { candidate, model, sent_at, probe } = current;
        let sent = Sent { candidate: &candidate, model: &model, at: sent_at, probe };
        let learned = match set_aside {
            None => live.learn(sent, verdict, now),
            Some(until) => {
                let scope = CooldownScope { reason: CooldownReason::Overloaded, model: model_scope(&model) };
                let mut verdict = verdict.clone();
                verdict.cooldowns.push((scope, Cooldown { until, observed_at: now }));
                live.learn(sent, &verdict, now)
            }
        };
        self.last = Some(Last {
            candidate,
            outcome: verdict.outcome.clone(),
            message: verdict.message.clone(),
            relayable: verdict.status != 0 && !verdict.in_stream,
        });
        learned
    }

    /// What the outcome rules out, uses up and asks for. Returns until when an account that stays
    /// overloaded is set aside.
    fn follow(&mut self, current: &Current, outcome: &Outcome, now: Timestamp) -> Option<Timestamp> {
        if !matches!(outcome, Outcome::Overloaded { .. }) {
            self.overloads = 0;
        }
        match outcome {
            Outcome::Success | Outcome::ClientFault | Outcome::ClientLeft => {}
            Outcome::QuotaExhausted { until, .. } => self.rule_out(current, true, Some(*until)),
            Outcome::Throttled { until } => {
                self.rule_out(current, true, Some(*until));
                if !self.absorbed && until.duration_since(now) <= ABSORB {
                    self.absorbed = true;
                    self.after = After::Until(*until);
                }
            }
            Outcome::Forbidden | Outcome::ModelUnavailable => self.rule_out(current, true, None),
            Outcome::CredentialRejected => self.rule_out(current, false, None),
            Outcome::Windowless => {
                self.failures += 1;
                self.after = After::Windowless;
                self.rule_out(current, false, None);
            }
            Outcome::ServerFault => {
                self.failures += 1;
                self.server_faults += 1;
                self.rule_out(current, false, None);
            }
            Outcome::Unreachable(_) => {
                self.failures += 1;
                self.rule_out(current, false, None);
            }
            Outcome::Overloaded { until } => return self.overloaded(current, *until, now),
        }
        None
    }

    /// The same account again a few times; then it is set aside.
    fn overloaded(
        &mut self,
        current: &Current,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.overloads += 1;
        let is_near = until.is_none_or(|until| until.duration_since(now) <= OVERLOAD_LONGEST);
        if is_near && self.request.replayable && self.overloads <= self.rules.overload_retries {
            self.after = After::Overload(until);
            return None;
        }
        // The account's retries together are one attempt of the pool's.
        self.failures += 1;
        self.overloads = 0;
        let aside = now.checked_add(OVERLOADED).unwrap_or(Timestamp::MAX).max(until.unwrap_or(now));
        self.rule_out(current, true, Some(aside));
        Some(aside)
    }

    fn rule_out(&mut self, current: &Current, model_only: bool, until: Option<Timestamp>) {
        self.tried.push(Tried {
            account: current.candidate.id().clone(),
            model: model_only.then(|| current.model.clone()),
            until,
        });
    }
}

fn attempt(current: &Current, verdict: &Verdict, now: Timestamp) -> Attempt {
    let took = now.duration_since(current.sent_at).max(SignedDuration::ZERO);
    let took = Duration::try_from(took).unwrap_or_default();
    Attempt {
        account: current.candidate.id().clone(),
        outcome: verdict.outcome.as_label().to_owned(),
        status: verdict.status,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        model: current.model.clone(),
    }
}
