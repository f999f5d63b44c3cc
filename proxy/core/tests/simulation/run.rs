//! Events in the order of time: a client asks, an answer arrives, a wait is over, a push arrives.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::CooldownReason;
use penstock_proto::observation::Observation;
use penstock_proxy_core::attempt::{Attempts, Step};
use penstock_proxy_core::classify::Outcome;
use penstock_proxy_core::live::Ticket;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::model::{Plan, Provider, Seen};
use crate::support::answers::Answer;
use crate::support::{Proxy, account, pool, request, session, start};

/// From a report to its arrival at every other proxy.
const PUSH: SignedDuration = SignedDuration::from_millis(100);

/// What happens at an instant.
enum Happening {
    Asks {
        client: u64,
    },
    /// The attempt loop is asked for its next step.
    Steps {
        client: u64,
    },
    /// The provider's answer is there.
    Answered {
        client: u64,
        answer: Answer,
        account: usize,
        ticket: Ticket,
        model: String,
    },
    Pushed {
        observation: Observation,
        from: usize,
    },
}

struct Simulation {
    plan: Plan,
    proxies: Vec<Proxy>,
    providers: Vec<Provider>,
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    number: u64,
    asking: HashMap<u64, (usize, Attempts)>,
    places: HashMap<u64, usize>,
    rng: SmallRng,
    seen: Seen,
}

/// Runs a plan to its end.
pub(crate) fn run(plan: &Plan) -> Seen {
    let mut simulation = Simulation::new(plan);
    let end = start() + plan.length;
    while let Some(((now, _), happening)) = simulation.agenda.pop_first() {
        if now > end {
            break;
        }
        simulation.happen(happening, now);
    }
    simulation.seen
}

impl Simulation {
    fn new(plan: &Plan) -> Self {
        let accounts: Vec<_> = (0..plan.accounts).map(|n| account(&format!("a{n}"))).collect();
        let settings = pool(&accounts);
        let proxies = (0..plan.proxies).map(|_| Proxy::new(accounts.clone(), settings.clone(), start()));
        let mut simulation = Self {
            plan: plan.clone(),
            proxies: proxies.collect(),
            providers: Provider::all(plan),
            agenda: BTreeMap::new(),
            number: 0,
            asking: HashMap::new(),
            places: HashMap::new(),
            rng: SmallRng::seed_from_u64(plan.seed),
            seen: Seen { per_account: vec![0; plan.accounts], ..Seen::default() },
        };
        for client in 0..plan.clients {
            simulation.soon(start(), 0..10_000, Happening::Asks { client });
        }
        simulation
    }

    fn at(&mut self, instant: Timestamp, happening: Happening) {
        self.number += 1;
        self.agenda.insert((instant, self.number), happening);
    }

    fn soon(&mut self, now: Timestamp, millis: std::ops::Range<i64>, happening: Happening) {
        let wait = SignedDuration::from_millis(self.rng.random_range(millis));
        self.at(now + wait, happening);
    }

    fn happen(&mut self, happening: Happening, now: Timestamp) {
        match happening {
            Happening::Asks { client } => {
                let proxy = self.rng.random_range(0..self.plan.proxies);
                self.asking.insert(client, (proxy, Attempts::new(request(Some(session(client)), now))));
                self.step(client, now);
            }
            Happening::Steps { client } => self.step(client, now),
            Happening::Answered { client, answer, account, ticket, model } => {
                self.answered(client, &answer, account, ticket, &model, now);
            }
            Happening::Pushed { observation, from } => {
                for (_, proxy) in self.proxies.iter_mut().enumerate().filter(|(n, _)| *n != from) {
                    proxy.push(&observation, now);
                }
            }
        }
    }

    fn step(&mut self, client: u64, now: Timestamp) {
        let Some((proxy, attempts)) = self.asking.get_mut(&client) else { return };
        match self.proxies[*proxy].next(attempts, now) {
            Step::Try(choice) => {
                let name = choice.candidate.id().name();
                let account: usize = name[1..].parse().expect("accounts are named a0, a1, …");
                if let Some((since, until)) = self.providers[account].refused
                    && now > since
                    && now < until
                {
                    self.seen.sent_to_limited += 1;
                    self.seen.sent_to_limited_after_push += usize::from(now > since + PUSH);
                }
                let answer = self.providers[account].answer(now, &mut self.rng);
                let (ticket, model) = (choice.ticket, choice.model);
                self.soon(now, 50..2_000, Happening::Answered { client, answer, account, ticket, model });
            }
            Step::WaitUntil(until) => self.at(until, Happening::Steps { client }),
            Step::GiveUp(exhausted) => {
                self.seen.given_up += 1;
                let wait = exhausted.retry_after.map_or(30, |wait| wait.as_secs());
                let wait = SignedDuration::from_secs(i64::try_from(wait).unwrap_or(30));
                self.at(now + wait, Happening::Asks { client });
            }
        }
    }

    fn answered(
        &mut self,
        client: u64,
        answer: &Answer,
        account: usize,
        ticket: Ticket,
        model: &str,
        now: Timestamp,
    ) {
        let Some((proxy, attempts)) = self.asking.get_mut(&client) else { return };
        let from = *proxy;
        let (verdict, learned) = self.proxies[from].answer(attempts, answer, model, now);
        self.proxies[from].live.release(ticket, now);
        if let Outcome::QuotaExhausted { until, .. } = verdict.outcome {
            self.seen.refused += 1;
            self.providers[account].refused.get_or_insert((now, until));
            let is_over = |(_, end): (Timestamp, Timestamp)| end <= now;
            if self.providers[account].refused.is_some_and(is_over) {
                self.providers[account].refused = Some((now, until));
            }
        }
        if let Some(observation) = learned {
            let quota = |reason| reason == CooldownReason::QuotaExhausted;
            assert!(observation.cooldowns.iter().all(|(scope, c)| !quota(scope.reason) || c.until > now));
            self.at(now + PUSH, Happening::Pushed { observation, from });
        }
        if verdict.outcome.is_relayed() {
            self.seen.served += 1;
            self.seen.served_after_giving_up += usize::from(self.seen.given_up > 0);
            self.seen.per_account[account] += 1;
            let before = self.places.insert(client, account);
            self.seen.moves += usize::from(before.is_some_and(|before| before != account));
            self.soon(now, 1_000..20_000, Happening::Asks { client });
        } else {
            self.at(now, Happening::Steps { client });
        }
    }
}
