//! All that changes while the simulator runs. Each part has a lock of its own, held for microseconds.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    Config,
    accounts::Accounts,
    faults::{Faults, Rule},
    ids::Ids,
    journal::Journal,
    limits::LimitSpec,
};

/// Listed when `--models` names none; then any model is served.
const MODELS: [&str; 6] =
    ["claude-opus-5", "claude-sonnet-5", "claude-haiku-4-5", "gpt-5", "gpt-5-codex", "gpt-5-mini"];

/// The simulator's state.
#[derive(Debug)]
pub struct State {
    /// The accounts.
    pub accounts: Accounts,
    /// What was received.
    pub journal: Journal,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) behaviour: Mutex<Behaviour>,
    pub(crate) models: Vec<String>,
    pub(crate) any_model: bool,
    seed: u64,
    serial: AtomicU64,
}

/// How it answers, changeable while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Behaviour {
    pub(crate) event_delay_ms: u64,
    pub(crate) first_byte_delay_ms: u64,
    pub(crate) events: u32,
    pub(crate) gzip: bool,
    pub(crate) thinking: bool,
}

/// A change of it; what is absent stays.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct BehaviourPatch {
    event_delay_ms: Option<u64>,
    first_byte_delay_ms: Option<u64>,
    events: Option<u32>,
    gzip: Option<bool>,
    thinking: Option<bool>,
}

impl State {
    /// As configured; `own` are the accounts of the accounts file.
    pub(crate) fn new(config: &Config, own: BTreeMap<String, LimitSpec>) -> Self {
        let closed = !config.keys.is_empty() || config.accounts.is_some();
        let mut accounts: BTreeMap<_, _> = own.into_iter().map(|(key, spec)| (key, Some(spec))).collect();
        for key in &config.keys {
            accounts.entry(key.clone()).or_insert(None);
        }
        let any_model = config.models.is_empty();
        Self {
            accounts: Accounts::new(accounts, config.limits(), config.window_lengths(), closed),
            journal: Journal::new(config.journal_requests, config.journal_bodies << 20),
            faults: Mutex::default(),
            behaviour: Mutex::new(Behaviour::of(config)),
            models: if any_model { MODELS.map(ToOwned::to_owned).into() } else { config.models.clone() },
            any_model,
            seed: config.seed,
            serial: AtomicU64::new(0),
        }
    }

    /// The source of ids for the next answer.
    pub(crate) fn next_ids(&self) -> Ids {
        Ids::new(self.seed, self.serial.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Puts a fault in force and returns its number.
    pub fn fault(&self, rule: Rule) -> u64 {
        self.faults.lock().add(rule, Timestamp::now())
    }

    /// Lifts all faults.
    pub fn lift_faults(&self) {
        self.faults.lock().clear();
    }

    /// Empties the journal, lifts all faults, starts all windows anew.
    pub fn reset(&self) {
        self.journal.clear();
        self.lift_faults();
        self.accounts.reset(None);
    }
}

impl Behaviour {
    fn of(config: &Config) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            event_delay_ms: millis(config.event_delay),
            first_byte_delay_ms: millis(config.first_byte_delay),
            events: config.events,
            gzip: config.gzip,
            thinking: config.thinking,
        }
    }

    /// With these changes.
    pub(crate) fn with(self, patch: BehaviourPatch) -> Self {
        Self {
            event_delay_ms: patch.event_delay_ms.unwrap_or(self.event_delay_ms),
            first_byte_delay_ms: patch.first_byte_delay_ms.unwrap_or(self.first_byte_delay_ms),
            events: patch.events.unwrap_or(self.events).max(12),
            gzip: patch.gzip.unwrap_or(self.gzip),
            thinking: patch.thinking.unwrap_or(self.thinking),
        }
    }
}
