//! A Kubernetes API as the source of objects. Everything comes in by watches, what this process wrote included:
//! there is one way in, and a write returns when it has come back by it. Never decides what an object means.
//!
//! Of Secrets and ConfigMaps, only those are read and kept that an account or a grant names (and client keys beside
//! them). In each namespace where something is named, names and versions are watched, and what is named is read
//! one by one when its version moves. A watch of whole Secrets would put every password of the cluster into this
//! process; a watch for each Secret would cost a connection for each account. So the right to Secrets is needed
//! only where accounts and grants that name them live, and can be given there alone.
//!
//! What the controller asks of the API server, and so what its ServiceAccount must be allowed. *Watched* are the
//! namespaces of `--namespaces`, or all; *own* is that of the installation.
//!
//! | where | group | resource | verbs | for |
//! |---|---|---|---|---|
//! | watched | penstock.dev | provideraccounts, accountpools, accessgrants | list, watch | the objects |
//! | watched | penstock.dev | provideraccounts/status, accountpools/status, accessgrants/status | patch | where they stand |
//! | watched | penstock.dev | provideraccounts | get, create, update, delete | the management API |
//! | watched, where named | (core) | secrets | get, list, watch | credentials and client keys |
//! | watched, where named | (core) | secrets | create, update, delete | the management API |
//! | watched, where named | (core) | configmaps | get, list, watch | certificate authorities of `egress.caBundle` |
//! | own | (core) | configmaps | get, list, watch | prices (`<name>-prices`) |
//! | cluster, without `--namespaces` | (core) | namespaces | list, watch | labels for `allowedNamespaces` |
//! | each of `--namespaces`, may be left out | (core) | namespaces | get | the same |
//! | watched | events.k8s.io | events | create, patch | what began or ended |
//! | own | coordination.k8s.io | leases | get, create, update | who leads (`<name>-controller`) |
//! | cluster | authentication.k8s.io | tokenreviews | create | who a proxy is, and who calls the management API |
//! | cluster | authorization.k8s.io | subjectaccessreviews | create | what that caller may do |
//!
//! | module | what it owns |
//! |---|---|
//! | [`client`] | the way to the API server |
//! | `watch` | the watches, and the loop that they end in |
//! | `listing` | the objects of one watch |
//! | `state` | everything that the watches told, and what of it is in force |
//! | `read` | reading what objects refer to |
//! | `prices` | prices that the installation sets itself |
//! | `edit` | writing accounts and Secrets |
//! | `status` | writing statuses |
//! | `events` | telling of what began or ended |
//! | [`people`] | who calls the management API, and what they may do |

pub mod client;
mod edit;
mod events;
mod listing;
pub mod people;
mod prices;
mod read;
mod state;
mod status;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Resource};
use penstock_controller_core::objects::Objects;
use penstock_controller_core::price::PriceTable;
use penstock_controller_core::references::{Reference, Referent};
use penstock_controller_core::validate::Kind;
use penstock_proto::ids::ObjectId;
use tokio::sync::watch as channel;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::published::{Published, Words};
use crate::config::InCluster;
use crate::metrics::ClusterMetrics;
use prices::Prices;
use state::{Source, State, What};

const WORDS: Words = Words { one: "something of the cluster is", all: "everything of the cluster is" };

/// Between two lines that say what a start waits for.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// How long a write waits for its own return by the watch. Only a watch that fails takes longer, and then the
/// write stands all the same.
const RETURN: Duration = Duration::from_secs(2);

/// A Kubernetes API.
pub struct Kubernetes {
    client: Client,
    settings: InCluster,
    recorder: Recorder,
    metrics: ClusterMetrics,
    published: Published,
    /// What is waited for before anything is published; `None`: nothing any more.
    waits_for: channel::Sender<Option<Vec<String>>>,
    /// Nothing comes in any more.
    ended: CancellationToken,
}

impl Kubernetes {
    /// Objects of this API server. Nothing is asked of it before [`Kubernetes::watch`] runs. `prices`: those that
    /// Penstock comes with.
    pub fn new(
        client: Client,
        settings: InCluster,
        prices: PriceTable,
        metrics: ClusterMetrics,
    ) -> Arc<Self> {
        let reporter =
            Reporter { controller: "penstock-controller".to_owned(), instance: Some(settings.pod.clone()) };
        Arc::new(Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            settings,
            metrics,
            published: Published::new(prices, WORDS),
            waits_for: channel::Sender::new(Some(Vec::new())),
            ended: CancellationToken::new(),
        })
    }

    /// The way to the API server, for what is not about our objects.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What is in force, and what is not. Prices are those that Penstock comes with, and on top what the ConfigMap
    /// `<name>-prices` says.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// What a start waits for, with what to do about it; `None`: nothing any more.
    pub fn waits_for(&self) -> channel::Receiver<Option<Vec<String>>> {
        self.waits_for.subscribe()
    }

    /// Waits until everything is known that there was at the start, and says now and then what for.
    pub async fn ready(&self) {
        let mut waits_for = self.waits_for.subscribe();
        loop {
            if tokio::time::timeout(SAY_AGAIN, waits_for.wait_for(Option::is_none)).await.is_ok() {
                return;
            }
            let waits_for = waits_for.borrow().clone().unwrap_or_default();
            warn!(
                waiting_for = waits_for.join("; "),
                "the objects are not known yet; proxies serve on with what they have"
            );
        }
    }

    /// The watches that say what else is to be watched.
    fn base_sources(&self) -> Vec<Source> {
        let kinds = [What::Accounts, What::Pools, What::Grants, What::Namespaces];
        let named: Vec<_> = self.settings.namespaces.iter().cloned().map(Some).collect();
        let namespaces = if named.is_empty() { vec![None] } else { named };
        let of = |namespace: Option<String>| kinds.map(|what| Source { what, namespace: namespace.clone() });
        namespaces.into_iter().flat_map(of).collect()
    }

    fn own_references(&self) -> BTreeSet<Reference> {
        let prices = self.prices_id().map(|id| Reference { kind: Referent::ConfigMap, id });
        prices.into_iter().collect()
    }

    fn prices_id(&self) -> Option<ObjectId> {
        ObjectId::new(&self.settings.own_namespace, &format!("{}-prices", self.settings.name)).ok()
    }

    /// Publishes what is in force, if everything was known once.
    fn publish(&self, state: &mut State, prices: &mut Prices) {
        if self.waits_for.borrow().is_some() {
            let waits_for = state.waits_for();
            if !waits_for.is_empty() {
                self.waits_for.send_replace(Some(waits_for));
                return;
            }
        }
        self.published.set_objects(state.publish());
        if let Some(id) = self.prices_id()
            && let Some(table) = prices.take(&id, state.own_config_map(&id))
        {
            self.published.set_prices(table);
        }
        let mut problems = state.problems();
        problems.extend(prices.problem().cloned());
        self.published.set_problems(problems);
        if self.waits_for.send_replace(None).is_some() {
            let objects = self.published.objects();
            let objects = objects.borrow();
            let (accounts, pools, grants) =
                (objects.accounts.len(), objects.pools.len(), objects.grants.len());
            info!(accounts, pools, grants, "the objects of the cluster are known");
        }
    }

    /// How Events and errors refer to an object; `None` if it is gone.
    fn reference(
        &self,
        kind: penstock_controller_core::validate::Kind,
        id: &ObjectId,
    ) -> Option<ObjectReference> {
        let objects = self.published.objects();
        let objects = objects.borrow();
        match kind {
            Kind::Account => objects.accounts.get(id).map(|object| object.object_ref(&())),
            Kind::Pool => objects.pools.get(id).map(|object| object.object_ref(&())),
            Kind::Grant => objects.grants.get(id).map(|object| object.object_ref(&())),
        }
    }

    /// Waits until the objects in force are like this, as they soon are after a write.
    async fn returned(&self, are: impl Fn(&Objects) -> bool) {
        let mut objects = self.published.objects();
        let returned = tokio::time::timeout(RETURN, objects.wait_for(|objects| are(objects)));
        let _ = self.ended.run_until_cancelled(returned).await;
    }
}

/// Whether one version of an object is at least as new as another. They are numbers wherever anybody looked, and
/// what is not is as new as anything.
fn is_at_least(version: Option<&String>, other: Option<&String>) -> bool {
    let number = |version: Option<&String>| version.and_then(|version| version.parse::<u128>().ok());
    match (number(version), number(other)) {
        (Some(version), Some(other)) => version >= other,
        _ => true,
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
