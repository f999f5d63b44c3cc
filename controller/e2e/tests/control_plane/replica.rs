//! A controller without its listeners and its history: what it knows, decides, writes and leads.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Config;
use penstock_controller::apply;
use penstock_controller::cluster::Cluster;
use penstock_controller::cluster::kubernetes::{Kubernetes, client};
use penstock_controller::config::InCluster;
use penstock_controller::leader::{Election, lease};
use penstock_controller::metrics::Metrics;
use penstock_controller::proxies::Registry;
use penstock_controller::reconcile::{self, Reconciler};
use penstock_controller_core::Plan;
use penstock_controller_core::identity::Gateways;
use penstock_controller_core::objects::Objects;
use penstock_controller_core::price::PriceTable;
use penstock_crds::account::status::State;
use penstock_e2e::wait::PATIENCE;
use penstock_proto::ids::ObjectId;
use penstock_proto::resource::Resource;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) struct Replica {
    pub(crate) cluster: Cluster,
    pub(crate) reconciler: Reconciler,
    pub(crate) election: Election,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// A controller of the installation in this namespace, for this namespace.
pub(crate) fn in_namespace(namespace: &str, pod: &str) -> InCluster {
    InCluster {
        namespaces: [namespace.to_owned()].into(),
        own_namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        name: "penstock".to_owned(),
        gateways: Gateways::default(),
    }
}

impl Replica {
    /// One that knows everything there is.
    pub(crate) async fn start(config: Config, settings: InCluster) -> Self {
        let client = client::client_of(config).unwrap();
        let metrics = Metrics::new();
        let prices = PriceTable::built_in().unwrap();
        let kubernetes = Kubernetes::new(client.clone(), settings.clone(), prices, metrics.cluster.clone());
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(Arc::clone(&kubernetes).watch(stop.clone()));
        tokio::time::timeout(PATIENCE, kubernetes.ready()).await.expect("it gets to know the objects");
        let name = format!("{}-controller", settings.name);
        let lease = lease::Settings { namespace: settings.own_namespace, name, pod: settings.pod };
        let (election, elector) = lease::election(client, lease, metrics.cluster.clone());
        tasks.spawn(elector.run(stop.clone()));
        let cluster = Cluster::Kubernetes(kubernetes);
        let (reconciler, deciding) = reconcile::channel(
            cluster.objects(),
            Registry::default(),
            Arc::new(Timestamp::now),
            metrics.reconcile,
        );
        tasks.spawn(deciding.run(stop.clone()));
        tasks.spawn(apply::run(
            cluster.clone(),
            reconciler.plan(),
            election.clone(),
            metrics.cluster,
            stop.clone(),
        ));
        Self { cluster, reconciler, election, stop, tasks }
    }

    /// Waits until its plan is like this.
    pub(crate) async fn plan(&self, what: &str, like: impl Fn(&Plan) -> bool) -> Arc<Plan> {
        let mut plans = self.reconciler.plan();
        let found = tokio::time::timeout(PATIENCE, plans.wait_for(|plan| like(plan))).await;
        match found {
            Ok(found) => Arc::clone(&found.unwrap()),
            Err(elapsed) => panic!("{elapsed}: {what}: {:#?}", self.reconciler.plan().borrow().accounts),
        }
    }

    /// Waits until what it knows is like this.
    pub(crate) async fn objects(&self, what: &str, like: impl Fn(&Objects) -> bool) -> Arc<Objects> {
        let mut objects = self.cluster.objects();
        let found = tokio::time::timeout(PATIENCE, objects.wait_for(|objects| like(objects))).await;
        match found {
            Ok(found) => Arc::clone(&found.unwrap()),
            Err(elapsed) => {
                panic!("{elapsed}: {what}: {:#?}", self.cluster.objects().borrow().accounts.keys())
            }
        }
    }

    /// Waits until it holds an account to be in this state.
    pub(crate) async fn account_is(&self, account: &ObjectId, state: State) {
        let what = format!("{account} {state:?}");
        self.plan(&what, |plan| plan.accounts.get(account).and_then(|status| status.state) == Some(state))
            .await;
    }

    pub(crate) fn leads(&self) -> bool {
        self.election.leadership().is_some()
    }

    /// Waits until it leads, or does not.
    pub(crate) async fn until_leads(&self, leads: bool) {
        let look = async || {
            if self.leads() == leads { Ok(()) } else { Err(std::io::Error::other("not yet").into()) }
        };
        penstock_e2e::until("this replica leads, or does not", look).await.unwrap();
    }

    /// As SIGTERM ends a controller.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    /// As SIGKILL does.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

/// The credential that proxies are told for an account.
pub(crate) fn credential(plan: &Plan, account: &ObjectId) -> Option<String> {
    let told = plan.resources.values().find_map(|one| match &one.resource {
        Resource::Account(told) if told.id == *account => Some(Arc::clone(told)),
        _ => None,
    });
    Some(told?.credential.as_ref()?.secret.expose().to_owned())
}
