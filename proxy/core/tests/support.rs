//! Accounts, pools, answers of providers, and one proxy's state under a clock of the test's.

pub(crate) mod answers;
#[path = "../src/test_support.rs"]
#[expect(dead_code, reason = "the tests beside the code need more of it")]
mod beside;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::dialect::Dialect;
use penstock_proto::ids::AccountId;
use penstock_proto::observation::Observation;
use penstock_proto::snapshot::{Account, AccountState, Pool, Snapshot, Strategy};
use penstock_proxy_core::affinity::SessionKey;
use penstock_proxy_core::attempt::{Attempts, Step};
use penstock_proxy_core::classify::{Verdict, classify};
use penstock_proxy_core::live::Live;
use penstock_proxy_core::request::Request;
use penstock_proxy_core::route::{Operation, Selector};
use penstock_proxy_core::view::View;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use answers::Answer;

/// The model that fixtures ask for.
pub(crate) const MODEL: &str = "claude-opus-5";

/// When every test begins.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("an instant")
}

/// An id in the fixtures' namespace.
pub(crate) fn id(name: &str) -> AccountId {
    AccountId::new("llm", name).expect("a name")
}

/// An Anthropic account with an API key that serves every model. Each has a host of its own.
pub(crate) fn account(name: &str) -> Account {
    Account { base_url: format!("https://{name}.example"), ..beside::account(id(name).as_str()) }
}

/// The pool that fixtures use: all accounts, four attempts, no hold.
pub(crate) fn pool(accounts: &[Account]) -> Pool {
    Pool {
        id: id("default"),
        accounts: accounts.iter().map(|account| account.id.clone()).collect(),
        strategy: Strategy::SessionAffinity,
        affinity_ttl: Duration::from_hours(1),
        attempts: 4,
        per_try_timeout: Duration::from_mins(10),
        overload_retries: 2,
        hold: Duration::ZERO,
        fallbacks: Vec::new(),
    }
}

/// A session of this number.
pub(crate) fn session(number: u64) -> SessionKey {
    SessionKey(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

/// A Messages request for [`MODEL`] that may take ten minutes.
pub(crate) fn request(session: Option<SessionKey>, now: Timestamp) -> Request {
    Request {
        pool: id("default"),
        dialect: Some(Dialect::AnthropicMessages),
        operation: Operation::Messages,
        selector: Selector::ByModel,
        model: MODEL.into(),
        session,
        forced: None,
        exclude_providers: Vec::new(),
        replayable: true,
        deadline: now + SignedDuration::from_mins(10),
    }
}

/// One proxy.
pub(crate) struct Proxy {
    pub(crate) snapshot: Snapshot,
    pub(crate) view: View,
    pub(crate) live: Live,
    pub(crate) rng: SmallRng,
}

impl Proxy {
    /// A proxy that was pushed these accounts and this pool.
    pub(crate) fn new(accounts: Vec<Account>, pool: Pool, now: Timestamp) -> Self {
        let mut proxy = Self {
            snapshot: Snapshot::default(),
            view: View::default(),
            live: Live::default(),
            rng: SmallRng::seed_from_u64(1),
        };
        proxy.snapshot.pools.insert(pool.id.clone(), Arc::new(pool));
        for account in accounts {
            proxy.snapshot.accounts.insert(account.id.clone(), Arc::new(account));
        }
        proxy.publish(now);
        proxy
    }

    /// Puts the changed snapshot in force.
    pub(crate) fn publish(&mut self, now: Timestamp) {
        self.view = View::after(&self.view, Arc::new(self.snapshot.clone()));
        self.live.apply_snapshot(&self.view, now);
    }

    /// What the controller does with a report: merges it and pushes the account's state.
    pub(crate) fn push(&mut self, observation: &Observation, now: Timestamp) {
        let held = self.snapshot.states.get(&observation.account);
        let mut state = held.map_or_else(AccountState::default, |held| (**held).clone());
        observation.merge_into(&mut state.limits);
        if observation.rejected_fingerprint.is_some() {
            state.rejected_fingerprint.clone_from(&observation.rejected_fingerprint);
        }
        self.snapshot.states.insert(observation.account.clone(), Arc::new(state));
        self.publish(now);
    }

    /// The next step of a request.
    pub(crate) fn next(&mut self, attempts: &mut Attempts, now: Timestamp) -> Step {
        attempts.next(&mut self.live, &self.view, now, &mut self.rng)
    }

    /// An answer to the request's last try, given to the attempt loop.
    pub(crate) fn answer(
        &mut self,
        attempts: &mut Attempts,
        answer: &Answer,
        model: &str,
        now: Timestamp,
    ) -> (Verdict, Option<Observation>) {
        let verdict = answer.with(|heard| classify(heard, model, now));
        let learned = attempts.record(&mut self.live, &verdict, now);
        (verdict, learned)
    }

    /// Which account a request goes to first; its slot is given back at once.
    pub(crate) fn first_choice(&mut self, request: Request, now: Timestamp) -> Option<String> {
        let mut attempts = Attempts::new(request);
        match self.next(&mut attempts, now) {
            Step::Try(choice) => {
                let name = choice.candidate.id().name().to_owned();
                self.live.release(choice.ticket, now);
                Some(name)
            }
            Step::WaitUntil(_) | Step::GiveUp(_) => None,
        }
    }
}
