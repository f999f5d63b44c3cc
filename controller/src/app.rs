//! Puts the controller together and runs it. Every long-lived task is spawned here and joined here: the
//! first one that ends by itself ends the process.
//!
//! The end, in order: listeners stop accepting and streams end, history that was received is stored, the
//! private Postgres is stopped.
//!
//! | module | what it owns |
//! |---|---|
//! | `admission` | the webhook, where there is one |
//! | `tasks` | the tasks in groups, and their end |
//! | `source` | where objects come from, opened as the settings say |
//! | `trust` | who may connect, and what proves this controller to them |

mod admission;
mod source;
mod tasks;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tracing::info;

use crate::api::{self, Access, ApiState, Settings, probes};
use crate::budget::Budgets;
use crate::cluster::{Cluster, Notice};
use crate::config::{Config, InCluster, Source};
use crate::fleet::Fleet;
use crate::grpc::Grpc;
use crate::ingest::{self, Ingest};
use crate::leader::Election;
use crate::metrics::Metrics;
use crate::proxies::Registry;
use crate::reconcile::{self, Clock, Reconciler};
use crate::store::Store;
use crate::store::embedded::Embedded;
use crate::store::postgres::Target;
use crate::{apply, history, refusals};
use source::Opened;
use tasks::Tasks;
use trust::Trust;

/// What the parts share.
struct Parts {
    cluster: Cluster,
    election: Election,
    /// In a cluster.
    api_server: Option<(Client, InCluster)>,
    reconciler: Reconciler,
    registry: Registry,
    store: Store,
    ingest: Ingest,
    fleet: Arc<Fleet>,
    metrics: Metrics,
}

/// Runs until a signal, or until something that should never end has ended.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut tasks = Tasks::new();
    let started = start(&config, &mut tasks).await;
    let result = match started {
        Ok(()) => tasks.until_one_ends().await,
        Err(_) if tasks.stop_front.is_cancelled() => Ok(()),
        Err(error) => Err(error),
    };
    tasks.end().await;
    result
}

async fn start(config: &Config, tasks: &mut Tasks) -> anyhow::Result<()> {
    tasks.watch(config.parent);
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("creating the folder {}", config.data.display()))?;
    let parts = parts(config, tasks).await?;
    let Trust { identity, certificates, access } = trust::open(config, &parts, tasks).await?;
    let tls = certificates.server_config()?;
    let grpc = Grpc::new(
        identity,
        parts.registry.clone(),
        parts.reconciler.clone(),
        parts.ingest.clone(),
        parts.metrics.grpc.clone(),
        tasks.stop_front.clone(),
    );
    admission::start(config, &parts, &certificates, tasks).await?;
    let (grpc_listener, grpc_at) = listen("--grpc-listen", config.grpc_listen).await?;
    let (api_listener, api_at) = listen("--api-listen", config.api_listen).await?;
    let probes = probes::router(parts.ingest.clone(), tasks.stop_front.clone());
    let router = router(config, parts, access, api_at, grpc_at).merge(probes);

    let stop = tasks.stop_front.clone();
    tasks.front("certificates", async move {
        stop.run_until_cancelled(certificates.run()).await;
        Ok(())
    });
    tasks.front("grpc", async move { Ok(grpc.serve(grpc_listener, tls).await?) });
    let stop = tasks.stop_front.clone();
    tasks.front("api", async move {
        Ok(axum::serve(api_listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?)
    });
    info!(api = %api_at, grpc = %grpc_at, data = %config.data.display(), "the controller is ready");
    // The one line of standard output, for whoever started this.
    println!("{}", json!({ "ready": true, "api": api_at, "grpc": grpc_at }));
    Ok(())
}

async fn parts(config: &Config, tasks: &mut Tasks) -> anyhow::Result<Parts> {
    let database = database(config, tasks).await?;
    let store = Store::new(database)?;
    let mut metrics = Metrics::new();
    let Opened { cluster, election, api_server } = source::open(config, &metrics.cluster, tasks).await?;
    let (ingest, ingester) = ingest::channel(store.clone(), history::pricer(cluster.prices()));
    let registry = Registry::default();
    let fleet = Arc::new(Fleet::new(registry.clone(), config.database.is_some()));
    let ingester = ingester.among(fleet.id(), fleet.accompanied());
    metrics.watch(registry.clone(), ingest.clone());
    let clock: Clock = Arc::new(Timestamp::now);
    let (reconciler, deciding) = reconcile::channel(
        cluster.objects(),
        registry.clone(),
        Arc::clone(&clock),
        metrics.reconcile.clone(),
    );
    let stop = tasks.stop_front.clone();
    tasks.front("reconcile", async move {
        deciding.run(stop).await;
        Ok(())
    });
    let budgets = Budgets { objects: cluster.objects(), reconciler: reconciler.clone(), clock };
    let (days, stop) = (config.history_days, tasks.stop_history.clone());
    let fleet_too = Arc::clone(&fleet);
    let writing = history::run(store.clone(), ingester, days, election.clone(), budgets, fleet_too, stop);
    tasks.history("history", async move {
        writing.await;
        Ok(())
    });
    let (counted, stop) = (metrics.cluster.clone(), tasks.stop_front.clone());
    let applying = apply::run(cluster.clone(), reconciler.plan(), election.clone(), counted, stop);
    tasks.front("apply", async move {
        applying.await;
        Ok(())
    });
    let (told, proxies, stop) = (cluster.clone(), registry.clone(), tasks.stop_front.clone());
    tasks.front("refusals", async move {
        let tell = |refused| {
            let told = told.clone();
            async move { told.tell(Notice::Refused(&refused)).await }
        };
        refusals::run(tell, proxies, stop).await;
        Ok(())
    });
    Ok(Parts { cluster, election, api_server, reconciler, registry, store, ingest, fleet, metrics })
}

/// Where the history is: the database that was named, or a private one.
async fn database(config: &Config, tasks: &mut Tasks) -> anyhow::Result<Target> {
    if let Some(database) = &config.database {
        return Ok(Target::parse(database.url.expose(), database.ca.as_deref())?);
    }
    // Also when a stop was asked for meanwhile: half started, it would be left behind.
    let embedded = Embedded::start(&config.data).await?;
    let target = Target::from(&embedded.connection());
    let stop = tasks.stop_database.clone();
    tasks.database("postgres", async move {
        embedded.run(stop).await;
        Ok(())
    });
    Ok(target)
}

fn router(
    config: &Config,
    parts: Parts,
    access: Access,
    api_at: SocketAddr,
    grpc_at: SocketAddr,
) -> axum::Router {
    let Parts { cluster, election: _, api_server: _, reconciler, registry, store, ingest, fleet, metrics } =
        parts;
    let settings = Arc::new(Settings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_listen: api_at.to_string(),
        grpc_listen: grpc_at.to_string(),
        objects: match &config.source {
            Source::Directory => config.config.display().to_string(),
            Source::Kubernetes(_) => "kubernetes".to_owned(),
        },
        database: if config.database.is_some() { "external" } else { "embedded" }.to_owned(),
        history_days: config.history_days,
    });
    let state = ApiState { store, ingest, reconciler, cluster, proxies: registry, fleet, settings };
    api::router(state, access).merge(metrics.router())
}

async fn listen(flag: &str, address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listening on {address} ({flag})"))?;
    let address = listener.local_addr().context("asking for the address")?;
    Ok((listener, address))
}
