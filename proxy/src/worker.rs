//! One single-threaded worker: its runtime, its share of the port, its upstream connections.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::listener;
use crate::pipeline::Worker;
use crate::state::State;
use crate::upstream::{Timeouts, Tls, Upstreams};

/// How often idle upstream connections are looked after, and new accounts' providers are connected to.
const UPKEEP: Duration = Duration::from_secs(3);

/// What a worker is started with.
pub(crate) struct Start {
    pub(crate) socket: std::net::TcpListener,
    pub(crate) tls: Option<Arc<TlsAcceptor>>,
    pub(crate) roots: Arc<Tls>,
    pub(crate) state: Arc<State>,
}

/// Serves on this thread until the end. What still runs then is cut off, and recorded as such.
pub(crate) fn run(start: Start) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let Start { socket, tls, roots, state } = start;
        let listener = TcpListener::from_std(socket)?;
        let upstreams = Upstreams::new(roots, listener::spawner()).but_not_to(listener.local_addr()?);
        let worker = Worker::new(state, upstreams);
        let upkeep = upkeep(worker.clone());
        tokio::select! {
            () = listener::serve(listener, tls, worker) => {}
            () = upkeep => {}
        }
        Ok(())
    })
}

/// Closes idle connections in time, and opens one to each provider before the first request needs it.
async fn upkeep(worker: Worker) {
    let mut warmed = String::new();
    let mut tick = tokio::time::interval(UPKEEP);
    loop {
        tick.tick().await;
        worker.upstreams().sweep();
        let published = worker.state().published();
        let version = &published.view.snapshot.version;
        if *version != warmed {
            warmed.clone_from(version);
            warm(&worker).await;
        }
    }
}

async fn warm(worker: &Worker) {
    let published = worker.state().published();
    let mut hosts = HashSet::new();
    for (id, target) in &published.targets {
        let usable = published.view.snapshot.accounts.get(id).is_some_and(|account| !account.paused);
        if !usable || !hosts.insert((target.host(), target.port())) {
            continue;
        }
        if let Err(error) = worker.upstreams().warm(target, 1, Timeouts::default()).await {
            debug!(
                host = target.host(),
                error = error.as_label(),
                "no connection ahead of the first request"
            );
        }
    }
}
