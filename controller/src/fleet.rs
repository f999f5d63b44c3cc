//! The controllers that share a database: each says every few seconds that it is there and which proxies are
//! connected to it, so that any of them can show the whole fleet.
//!
//! For people, and for a count in an account's status. Never decides who leads.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use penstock_proto::ids::AccountId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{debug, warn};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::proxies::ConnectedProxy;
use crate::proxies::Registry;
use crate::store::Store;
use crate::store::controllers::Presence;
use crate::store::error::StoreError;

/// Between two lines: what others show is behind by this.
const PACE: Duration = Duration::from_secs(2);

/// This controller among the others.
pub struct Fleet {
    id: Uuid,
    name: String,
    registry: Registry,
    accompanied: watch::Sender<bool>,
    shared: bool,
}

/// A connected proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// The controller it is connected to: the name of that one's host, which is its pod's in a cluster.
    #[serde(default)]
    pub controller: String,
    /// Unique per process start.
    pub id: String,
    /// Of its program.
    pub version: String,
    /// Its namespace.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// `sidecar`, `gateway` or `standalone`.
    pub role: String,
    /// Since when.
    pub connected_at: Timestamp,
    /// Version of the view it was last sent.
    pub sent_version: String,
    /// Version of the view it last confirmed.
    pub held_version: String,
    /// From the last push to its answer, microseconds.
    pub lag_us: Option<i64>,
    /// What it refused, and why.
    pub refusals: BTreeMap<String, String>,
}

impl Fleet {
    /// A controller with a database of its own, unless it is `shared`.
    pub fn new(registry: Registry, shared: bool) -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { id: Uuid::now_v7(), name, registry, accompanied: watch::Sender::new(false), shared }
    }

    /// Tells this controller from others.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether there are other controllers, as it is and becomes.
    pub fn accompanied(&self) -> watch::Receiver<bool> {
        self.accompanied.subscribe()
    }

    /// Every proxy that is connected to any of them; while the database is away, to this one.
    pub async fn proxies(&self, store: &Store) -> Vec<Proxy> {
        let mut all = self.own_proxies();
        if *self.accompanied.borrow() {
            let others = store.others(self.id).await.unwrap_or_default();
            all.extend(others.into_iter().flat_map(of_another));
        }
        all
    }

    /// Says that it is there, and counts who else is. Never ends by itself.
    pub async fn run(&self, store: &Store) {
        if !self.shared {
            return std::future::pending().await;
        }
        let mut said = None;
        loop {
            if let Err(error) = self.meet(store, &mut said).await {
                said = None;
                debug!(error = &error as &dyn std::error::Error, "the other controllers are out of sight");
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Says that it ends, so that nobody counts what it no longer has.
    pub async fn leave(&self, store: &Store) {
        if self.shared
            && let Err(error) = store.disappear(self.id).await
        {
            debug!(error = &error as &dyn std::error::Error, "the other controllers will find out");
        }
    }

    async fn meet(&self, store: &Store, said: &mut Option<Presence>) -> Result<(), StoreError> {
        let presence = self.presence();
        // Most of the time nothing is new; a thousand proxies are half a megabyte.
        let as_before = said.as_ref() == Some(&presence) && store.stay(self.id).await?;
        if !as_before {
            store.appear(&presence).await?;
            *said = Some(presence);
        }
        let others = store.in_use_elsewhere(self.id).await?;
        let accompanied = !others.is_empty();
        self.accompanied.send_if_modified(|held| std::mem::replace(held, accompanied) != accompanied);
        self.registry.set_elsewhere(sum(&others));
        Ok(())
    }

    fn presence(&self) -> Presence {
        let proxies = serde_json::to_value(self.own_proxies()).unwrap_or_default();
        let in_use_by = self.registry.in_use_here();
        let in_use_by = in_use_by.iter().map(|(id, count)| (id.as_str().to_owned(), *count)).collect();
        Presence { id: self.id, name: self.name.clone(), proxies, in_use_by }
    }

    fn own_proxies(&self) -> Vec<Proxy> {
        let list = self.registry.list().into_iter();
        list.map(|connected| Proxy::of(&self.name, connected)).collect()
    }
}

impl Proxy {
    fn of(controller: &str, connected: ConnectedProxy) -> Self {
        let ConnectedProxy {
            identity,
            connected_at,
            sent_version,
            held_version,
            lag,
            waiting_since: _,
            refusals,
        } = connected;
        Self {
            controller: controller.to_owned(),
            id: identity.id,
            version: identity.version,
            namespace: identity.namespace,
            pod: identity.pod,
            role: identity.role,
            connected_at,
            sent_version,
            held_version,
            lag_us: lag.and_then(|lag| i64::try_from(lag.as_micros()).ok()),
            refusals: refusals.into_iter().map(|refused| (refused.key.name, refused.reason)).collect(),
        }
    }
}

fn of_another(other: Presence) -> Vec<Proxy> {
    serde_json::from_value(other.proxies).unwrap_or_else(|error| {
        warn!(%error, controller = other.name, "what another controller says of its proxies cannot be read");
        Vec::new()
    })
}

fn sum(others: &[BTreeMap<String, u32>]) -> BTreeMap<AccountId, u32> {
    let mut sums = BTreeMap::<AccountId, u32>::new();
    for (name, count) in others.iter().flatten() {
        if let Ok(id) = name.parse() {
            *sums.entry(id).or_default() += count;
        }
    }
    sums
}
