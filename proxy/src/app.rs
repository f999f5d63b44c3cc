//! The running proxy: listeners, workers and background tasks, and their end. Every long-lived task is
//! started here and joined here; the first one that ends by itself ends the process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use penstock_proto::ids::InvalidObjectId;
use penstock_proto::snapshot::Snapshot;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin;
use crate::config::Config;
use crate::control::{Control, ControlStatus};
use crate::listener::{self, TlsError};
use crate::shutdown::{Shutdown, parent_gone};
use crate::sink::Sink;
use crate::state::State;
use crate::upstream::Tls;
use crate::worker;

/// Where snapshots come from.
pub enum Source {
    /// The controller of the configuration.
    Controller,
    /// Whoever holds the other end: an embedding program or a test.
    Channel(watch::Receiver<Arc<Snapshot>>),
}

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The spool folder cannot be used.
    #[error("the spool folder cannot be used")]
    Spool(#[source] io::Error),
    /// The listener's certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The namespace is not a name.
    #[error("the namespace cannot be used")]
    Namespace(#[from] InvalidObjectId),
    /// A thread or its runtime could not be made.
    #[error("a worker could not be started")]
    Worker(#[source] io::Error),
}

/// A long-lived task ended though nobody had asked.
#[derive(Debug, thiserror::Error)]
#[error("a task that should run for ever ended: {0}")]
pub struct TaskEnded(String);

/// A proxy that serves.
pub struct App {
    listen: SocketAddr,
    admin: SocketAddr,
    state: Arc<State>,
    /// End when draining is over.
    workers: JoinSet<&'static str>,
    /// End at the stop.
    background: JoinSet<&'static str>,
    /// Cancelled when the last request has ended: what is left is delivered or spooled.
    last: CancellationToken,
}

impl App {
    /// Opens the listeners and starts the workers. Must be called inside a runtime, which runs the
    /// background tasks; the workers have threads of their own.
    pub async fn start(config: Config, source: Source, shutdown: Shutdown) -> Result<Self, StartError> {
        let failed = |address| move |source| StartError::Listen { address, source };
        let sockets = listener::bind(config.listen, config.workers).map_err(failed(config.listen))?;
        let admin =
            tokio::net::TcpListener::bind(config.admin_listen).await.map_err(failed(config.admin_listen))?;
        let tls = config.tls.as_ref().map(listener::acceptor).transpose()?.map(Arc::new);
        let sink = Sink::open(config.spool_dir.as_deref()).map_err(StartError::Spool)?;
        let state = Arc::new(State::new(config, sink, shutdown)?);
        let mut app = Self {
            listen: sockets
                .first()
                .map_or(Ok(state.config.listen), std::net::TcpListener::local_addr)
                .map_err(failed(state.config.listen))?,
            admin: admin.local_addr().map_err(failed(state.config.admin_listen))?,
            state,
            workers: JoinSet::new(),
            background: JoinSet::new(),
            last: CancellationToken::new(),
        };
        app.start_background(admin, source);
        app.start_workers(sockets, tls.as_ref())?;
        Ok(app)
    }

    /// Where workloads connect.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where probes, metrics and state are served.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// History events that wait, for an embedding program or a test that takes them itself.
    pub fn sink(&self) -> Sink {
        self.state.sink.clone()
    }

    /// What was learned of the accounts, likewise.
    pub fn observations(&self) -> crate::observations::Observations {
        self.state.observations.clone()
    }

    /// Serves until a stop is asked for, then ends in order. An error means that something broke.
    pub async fn run(mut self) -> Result<(), TaskEnded> {
        let shutdown = self.state.shutdown.clone();
        let broken = tokio::select! {
            // First: an idle worker ends as soon as it is asked to, which is nothing broken.
            biased;
            () = shutdown.drain.cancelled() => None,
            () = parent_gone(self.state.config.parent) => None,
            Some(ended) = self.workers.join_next() => Some(ended),
            Some(ended) = self.background.join_next() => Some(ended),
        };
        shutdown.drain.cancel();
        self.drain().await;
        shutdown.stop.cancel();
        while self.workers.join_next().await.is_some() {}
        self.last.cancel();
        while self.background.join_next().await.is_some() {}
        self.state.sink.flush();
        match broken {
            None => {
                info!("stopped");
                Ok(())
            }
            Some(ended) => Err(TaskEnded(ended.map_or_else(|error| error.to_string(), str::to_owned))),
        }
    }

    /// Lets running requests finish, for as long as they may.
    async fn drain(&mut self) {
        let limit = self.state.config.drain_timeout;
        let stop = self.state.shutdown.stop.clone();
        info!(running = self.state.metrics.open_requests(), "draining");
        let finished = async { while self.workers.join_next().await.is_some() {} };
        tokio::select! {
            () = finished => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(limit) => {
                warn!(running = self.state.metrics.open_requests(), "the drain timeout is over");
            }
        }
    }

    fn start_background(&mut self, admin: tokio::net::TcpListener, source: Source) {
        let (state, last) = (&self.state, &self.last);
        let (connection, status) = watch::channel(ControlStatus::default());
        let snapshots = match source {
            Source::Channel(snapshots) => snapshots,
            Source::Controller => {
                let (sender, snapshots) = watch::channel(Arc::default());
                let control = Control {
                    config: state.config.controller.clone(),
                    identity: state.config.identity.clone(),
                    snapshots: sender,
                    status: connection,
                    observations: state.observations.clone(),
                    sink: state.sink.clone(),
                    last_words: state.config.role.last_words(),
                };
                self.background.spawn(named("control", control.run(last.clone())));
                snapshots
            }
        };
        self.background.spawn(named("publish", publish(Arc::clone(state), snapshots, last.clone())));
        self.background.spawn(named("spool", state.sink.clone().keep(last.clone())));
        self.background.spawn(named("admin", admin::serve(admin, Arc::clone(state), status, last.clone())));
    }

    fn start_workers(
        &mut self,
        sockets: Vec<std::net::TcpListener>,
        tls: Option<&Arc<TlsAcceptor>>,
    ) -> Result<(), StartError> {
        let roots = Arc::new(Tls::default());
        for socket in sockets {
            let (ended, end) = oneshot::channel::<()>();
            let serve = worker::Start {
                socket,
                tls: tls.cloned(),
                roots: Arc::clone(&roots),
                state: Arc::clone(&self.state),
            };
            let thread = std::thread::Builder::new().name("worker".to_owned());
            thread
                .spawn(move || {
                    let _ended = ended;
                    if let Err(error) = worker::run(serve) {
                        error!(%error, "a worker could not run");
                    }
                })
                .map_err(StartError::Worker)?;
            self.workers.spawn(named("worker", async { drop(end.await) }));
        }
        Ok(())
    }
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Puts every snapshot in force that arrives.
async fn publish(state: Arc<State>, mut snapshots: watch::Receiver<Arc<Snapshot>>, stop: CancellationToken) {
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        if snapshot.as_of.is_some() {
            state.publish(snapshot);
        }
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    // Nobody will push any more; what is in force stays in force.
                    stop.cancelled().await;
                    return;
                }
            }
            () = stop.cancelled() => return,
        }
    }
}
