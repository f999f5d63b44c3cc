//! Every long-lived task, in groups that end one after the other. The first task that ends by itself ends the
//! process.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::shutdown;

/// How long listeners may take to end their streams; live views of the dashboard never end by themselves.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// A task, by what it does, and how it ended.
type Ended = (&'static str, anyhow::Result<()>);

/// Everything that runs, in groups that end one after the other.
pub(super) struct Tasks {
    /// What may ask for the end; never ends by itself.
    watchers: JoinSet<Ended>,
    /// Listeners and decisions.
    front: JoinSet<Ended>,
    pub(super) stop_front: CancellationToken,
    /// The history's writers.
    history: JoinSet<Ended>,
    pub(super) stop_history: CancellationToken,
    /// The private Postgres.
    database: JoinSet<Ended>,
    pub(super) stop_database: CancellationToken,
}

impl Tasks {
    pub(super) fn new() -> Self {
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

    pub(super) fn watch(&mut self, parent: Option<u32>) {
        let stop = self.stop_front.clone();
        self.watchers.spawn(async move { ("signals", shutdown::on_signal(stop).await.map_err(Into::into)) });
        let stop = self.stop_front.clone();
        self.watchers.spawn(async move {
            shutdown::on_parent_gone(parent, stop).await;
            ("parent", Ok(()))
        });
    }

    pub(super) fn front(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.front.spawn(async move { (name, task.await) });
    }

    pub(super) fn history(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.history.spawn(async move { (name, task.await) });
    }

    pub(super) fn database(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.database.spawn(async move { (name, task.await) });
    }

    pub(super) async fn until_one_ends(&mut self) -> anyhow::Result<()> {
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
    pub(super) async fn end(mut self) {
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
