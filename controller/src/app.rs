//! Puts the controller together and runs it. Every long-lived task is spawned here and joined here: the
//! first one that ends by itself ends the process.
//!
//! The end, in order: listeners stop accepting and streams end, history that was received is stored, the
//! private Postgres is stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use penstock_controller_core::price::PriceTable;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::api::{self, Access, ApiState, Settings};
use crate::budget::Budgets;
use crate::certificates::Certificates;
use crate::cluster::Cluster;
use crate::cluster::directory::{self, Directory};
use crate::config::Config;
use crate::fleet::Fleet;
use crate::grpc::{Grpc, Identity, Registry};
use crate::ingest::{self, Ingest};
use crate::leader::Election;
use crate::metrics::Metrics;
use crate::reconcile::{self, Clock, Reconciler};
use crate::store::Store;
use crate::store::embedded::Embedded;
use crate::store::postgres::Target;
use crate::tokens::token;
use crate::{apply, history, shutdown};

/// How long listeners may take to end their streams; live views of the dashboard never end by themselves.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// A task, by what it does, and how it ended.
type Ended = (&'static str, anyhow::Result<()>);

/// Everything that runs, in groups that end one after the other.
struct Tasks {
    /// What may ask for the end; never ends by itself.
    watchers: JoinSet<Ended>,
    /// Listeners and decisions.
    front: JoinSet<Ended>,
    stop_front: CancellationToken,
    /// The history's writers.
    history: JoinSet<Ended>,
    stop_history: CancellationToken,
    /// The private Postgres.
    database: JoinSet<Ended>,
    stop_database: CancellationToken,
}

/// What the parts share.
struct Parts {
    cluster: Cluster,
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
        Err(error) => Err(error),
    };
    tasks.end().await;
    result
}

async fn start(config: &Config, tasks: &mut Tasks) -> anyhow::Result<()> {
    tasks.watch(config.parent);
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("creating the folder {}", config.data.display()))?;
    let admin_token = token(&config.data.join("admin-token"))?;
    let proxy_token = token(&config.data.join("proxy-token"))?;
    let names = names_of(config);
    let certificates = Certificates::open(&config.data, &names, Timestamp::now())?;
    let tls = certificates.server_config()?;

    let parts = parts(config, tasks).await?;
    let grpc = Grpc::new(
        Identity::SharedToken(proxy_token),
        parts.registry.clone(),
        parts.reconciler.clone(),
        parts.ingest.clone(),
        parts.metrics.grpc.clone(),
        tasks.stop_front.clone(),
    );
    let (grpc_listener, grpc_at) = listen("--grpc-listen", config.grpc_listen).await?;
    let (api_listener, api_at) = listen("--api-listen", config.api_listen).await?;
    let router = router(config, parts, Access::by_token(admin_token), api_at, grpc_at);

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
    let (ingest, ingester) = ingest::channel(store.clone(), history::pricer(PriceTable::built_in()?));
    let cluster = cluster(config, tasks).await?;
    let (registry, mut metrics) = (Registry::default(), Metrics::new());
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
    let writing = history::run(store.clone(), ingester, days, Election::Alone, budgets, fleet_too, stop);
    tasks.history("history", async move {
        writing.await;
        Ok(())
    });
    let applying = apply::run(cluster.clone(), reconciler.plan(), Election::Alone, tasks.stop_front.clone());
    tasks.front("apply", async move {
        applying.await;
        Ok(())
    });
    Ok(Parts { cluster, reconciler, registry, store, ingest, fleet, metrics })
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

/// The folder of manifests, watched.
async fn cluster(config: &Config, tasks: &mut Tasks) -> anyhow::Result<Cluster> {
    let directory = Directory::open(directory::Settings {
        folder: config.config.clone(),
        status_file: Some(config.data.join("status.json")),
        api_keys: config.api_keys.clone(),
    });
    let directory = directory.await.context("opening the folder of manifests")?;
    let watching = Arc::clone(&directory).watch(tasks.stop_front.clone());
    tasks.front("manifests", async move {
        watching.await;
        Ok(())
    });
    Ok(Cluster::Directory(directory))
}

fn router(
    config: &Config,
    parts: Parts,
    access: Access,
    api_at: SocketAddr,
    grpc_at: SocketAddr,
) -> axum::Router {
    let Parts { cluster, reconciler, registry, store, ingest, fleet, metrics } = parts;
    let settings = Arc::new(Settings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_listen: api_at.to_string(),
        grpc_listen: grpc_at.to_string(),
        objects: config.config.display().to_string(),
        database: if config.database.is_some() { "external" } else { "embedded" }.to_owned(),
        history_days: config.history_days,
    });
    let state = ApiState { store, ingest, reconciler, cluster, proxies: registry, fleet, settings };
    api::router(state, access).merge(metrics.router())
}

/// The names that proxies use: those that were said, and the address if it is one.
fn names_of(config: &Config) -> Vec<String> {
    let mut names = config.tls_names.clone();
    let address = config.grpc_listen.ip();
    if !address.is_unspecified() {
        names.push(address.to_string());
    }
    names
}

async fn listen(flag: &str, address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listening on {address} ({flag})"))?;
    let address = listener.local_addr().context("asking for the address")?;
    Ok((listener, address))
}

impl Tasks {
    fn new() -> Self {
        Self {
            watchers: JoinSet::new(),
            front: JoinSet::new(),
            stop_front: CancellationToken::new(),
            history: JoinSet::new(),
            stop_history: CancellationToken::new(),
            database: JoinSet::new(),
            stop_database: CancellationToken::new(),
        }
    }

    fn watch(&mut self, parent: Option<u32>) {
        let stop = self.stop_front.clone();
        self.watchers.spawn(async move { ("signals", shutdown::on_signal(stop).await.map_err(Into::into)) });
        let stop = self.stop_front.clone();
        self.watchers.spawn(async move {
            shutdown::on_parent_gone(parent, stop).await;
            ("parent", Ok(()))
        });
    }

    fn front(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.front.spawn(async move { (name, task.await) });
    }

    fn history(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.history.spawn(async move { (name, task.await) });
    }

    fn database(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.database.spawn(async move { (name, task.await) });
    }

    async fn until_one_ends(&mut self) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = self.stop_front.cancelled() => return Ok(()),
            Some(ended) = self.watchers.join_next() => ended,
            Some(ended) = self.front.join_next() => ended,
            Some(ended) = self.history.join_next() => ended,
            Some(ended) = self.database.join_next() => ended,
        };
        // A listener may be quicker to notice a stop than this is.
        if self.stop_front.is_cancelled() { Ok(()) } else { Err(explain(ended)) }
    }

    /// Ends the groups in order. What has already ended ends at once.
    async fn end(mut self) {
        self.stop_front.cancel();
        if tokio::time::timeout(LAST_ANSWERS, drain(&mut self.front)).await.is_err() {
            self.front.shutdown().await;
        }
        self.stop_history.cancel();
        drain(&mut self.history).await;
        self.stop_database.cancel();
        drain(&mut self.database).await;
        info!("stopped");
    }
}

async fn drain(tasks: &mut JoinSet<Ended>) {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok((_, Ok(()))) => {}
            ended => error!(error = %explain(ended), "something failed while stopping"),
        }
    }
}

fn explain(ended: Result<Ended, JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow::anyhow!("the task {name:?} ended, which it never should"),
        Ok((name, Err(error))) => error.context(format!("the task {name:?} failed")),
        Err(error) => anyhow::Error::new(error).context("a task panicked"),
    }
}
