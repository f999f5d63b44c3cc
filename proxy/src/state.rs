//! What all workers share: the current view (read without locks), the live state of the accounts (one
//! mutex, held for microseconds) and where results go. Everything else is a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use penstock_proto::event::Caller;
use penstock_proto::ids::{AccountId, InvalidObjectId, PoolId};
use penstock_proto::limits::{Limits, Window};
use penstock_proto::snapshot::{Account, AccountState, Snapshot};
use penstock_proxy_core::authenticate::remembered::Remembered;
use penstock_proxy_core::authenticate::{Access, Identity};
use penstock_proxy_core::id_map::IdMap;
use penstock_proxy_core::live::Live;
use penstock_proxy_core::view::View;
use serde::Serialize;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::config::{Config, Role};
use crate::metrics::Metrics;
use crate::observations::Observations;
use crate::shutdown::Shutdown;
use crate::sink::Sink;
use crate::upstream::Target;

/// Requests that may wait for an account at the same time, over all workers: each holds its body, and
/// more than this would not be served within any `hold`.
const MAX_WAITING: usize = 1_000;

/// Shared by all workers.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) access: Access,
    /// Held for one look-up.
    pub(crate) verified: Mutex<Remembered>,
    pub(crate) sink: Sink,
    pub(crate) observations: Observations,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    published: ArcSwap<Published>,
    live: Mutex<Live>,
    changed: Notify,
    waiting: AtomicUsize,
}

/// A pushed snapshot, prepared for requests.
pub(crate) struct Published {
    pub(crate) view: View,
    /// Where each account's requests go. An account whose base URL cannot be used has none.
    pub(crate) targets: IdMap<AccountId, Target>,
}

/// Where an account stands, for metrics and people. Holds no secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountReport {
    pub(crate) id: AccountId,
    pub(crate) provider: String,
    /// `Available`, `Paused`, `Blocked`, or why it is left alone.
    pub(crate) state: &'static str,
    /// When that ends, where it ends by itself.
    pub(crate) until: Option<Timestamp>,
    /// Requests on it now, from this proxy.
    pub(crate) in_flight: u32,
    /// Windows as observed.
    pub(crate) windows: Vec<WindowReport>,
}

/// How full a window is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WindowReport {
    pub(crate) name: String,
    /// Percent.
    pub(crate) utilization: f64,
    pub(crate) resets_at: Option<Timestamp>,
}

/// There are too many requests waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded;

impl State {
    pub(crate) fn new(config: Config, sink: Sink, shutdown: Shutdown) -> Result<Self, InvalidObjectId> {
        Ok(Self {
            access: access(&config)?,
            verified: Mutex::default(),
            config,
            sink,
            shutdown,
            observations: Observations::new(),
            metrics: Metrics::default(),
            published: ArcSwap::from_pointee(Published::new(Arc::default())),
            live: Mutex::default(),
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// The current view.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// The accounts' live state. Never to be held across an `await`.
    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock()
    }

    /// Puts a new snapshot in force.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        info!(version = snapshot.version, accounts = snapshot.accounts.len(), "a new snapshot is in force");
        let published = Published::new(snapshot);
        self.live.lock().apply_snapshot(&published.view, Timestamp::now());
        self.published.store(Arc::new(published));
        self.changed.notify_waiters();
    }

    /// Whether a first snapshot arrived and nobody asked to stop.
    pub(crate) fn is_ready(&self) -> bool {
        self.published.load().view.snapshot.as_of.is_some() && !self.shutdown.drain.is_cancelled()
    }

    /// Where each account of a view stands, by what was pushed and what was seen here.
    pub(crate) fn accounts(&self, published: &Published) -> Vec<AccountReport> {
        let now = Timestamp::now();
        let live = self.live();
        let snapshot = &published.view.snapshot;
        let report = |account: &Arc<Account>| {
            let pushed = snapshot.states.get(&account.id).map(Arc::as_ref);
            AccountReport::new(account, pushed, live.limits(&account.id), live.in_flight(&account.id), now)
        };
        snapshot.accounts.values().map(report).collect()
    }

    /// Waits until an instant, or until accounts may have become available.
    pub(crate) async fn wait(&self, until: Timestamp) -> Result<(), Crowded> {
        let waiting = Waiting::enter(&self.waiting);
        if waiting.number > MAX_WAITING {
            return Err(Crowded);
        }
        let pause = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        let _ = tokio::time::timeout(pause, self.changed.notified()).await;
        Ok(())
    }

    /// A slot was given back: the request that has waited longest asks again.
    pub(crate) fn slot_released(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_one();
        }
    }
}

impl AccountReport {
    fn new(
        account: &Account,
        pushed: Option<&AccountState>,
        limits: Option<&Limits>,
        in_flight: u32,
        now: Timestamp,
    ) -> Self {
        let cooling = limits.into_iter().flat_map(|limits| limits.in_force(now));
        let cooling = cooling.filter(|(scope, _)| scope.model.is_none()).max_by_key(|(_, until)| *until);
        let rejected = pushed.and_then(|state| state.rejected_fingerprint.as_ref());
        let (label, until) = match (&account.credential, cooling) {
            _ if account.paused => ("Paused", None),
            _ if pushed.is_some_and(|state| state.blocked.is_some()) => ("Blocked", None),
            (None, _) => ("NoCredential", None),
            (Some(held), _) if rejected == Some(&held.fingerprint) => ("CredentialRejected", None),
            (Some(_), Some((scope, until))) => (scope.reason.as_label(), Some(until)),
            (Some(_), None) => ("Available", None),
        };
        let window = |(name, window): (&str, &Window)| WindowReport {
            name: name.to_owned(),
            utilization: window.utilization,
            resets_at: window.resets_at,
        };
        let windows = limits.into_iter().flat_map(Limits::windows).map(window).collect();
        let (id, provider) = (account.id.clone(), account.provider.clone());
        Self { id, provider, state: label, until, in_flight, windows }
    }
}

impl Published {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        let mut targets = IdMap::default();
        for (id, account) in &snapshot.accounts {
            match Target::parse(&account.base_url, &account.egress) {
                Ok(target) => drop(targets.insert(id.clone(), target)),
                Err(error) => warn!(account.id = id.as_str(), %error, "the account cannot be used"),
            }
        }
        Self { view: View::new(snapshot), targets }
    }
}

/// Counts a waiting request for as long as it waits.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        Self { count, number: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whoever reaches a loopback address is on this machine or in this pod and trusted; everyone else, and
/// whoever comes through a gateway, must say who it is.
fn access(config: &Config) -> Result<Access, InvalidObjectId> {
    let trusted = match config.role {
        Role::Gateway => false,
        Role::Sidecar | Role::Standalone => config.listen.ip().is_loopback(),
    };
    if !trusted {
        return Ok(Access::Keyed);
    }
    let namespace = &config.identity.namespace;
    let caller = Caller {
        namespace: namespace.clone(),
        pod: config.identity.pod.clone(),
        service_account: config.service_account.clone(),
        key: String::new(),
    };
    let pool = config.pool.as_deref().map(|name| PoolId::new(namespace, name)).transpose()?;
    Ok(Access::Open(Arc::new(Identity::new(caller, namespace, pool)?)))
}
