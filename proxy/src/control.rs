//! The proxy's end of the control plane: one connection to the controller, and what goes over it.
//!
//! | module | what it does |
//! |---|---|
//! | `connect` | one connection, to any of the controller's addresses |
//! | `subscribe` | takes pushes in, publishes snapshots, answers each push |
//! | `report` | delivers observations and history events |
//!
//! Never on a request's path: requests read the last published snapshot, offer what they saw, and go
//! on. While the controller is away everything that was published stays in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use penstock_proto::peer::ProxyIdentity;
use penstock_proto::resource::Refusal;
use penstock_proto::snapshot::Snapshot;
use rand::Rng;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::ControllerConfig;
use crate::observations::Observations;
use crate::sink::Sink;

mod connect;
mod report;
mod subscribe;

use connect::{Client, dial};

/// First pause after a lost connection; it doubles with every failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause: a controller that is back is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Between the end of a stream that the controller asked to be made anew and the next: others were asked, too.
const MOVE_PAUSE: Duration = Duration::from_millis(500);

/// As long as nothing new is to be said of a controller that is away, it is said again this often.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// The task that keeps in touch with the controller.
pub struct Control {
    /// How to reach it.
    pub config: ControllerConfig,
    /// Who this proxy is.
    pub identity: ProxyIdentity,
    /// Where snapshots are published.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// Where the state of the connection is published.
    pub status: watch::Sender<ControlStatus>,
    /// Observations that wait to be delivered.
    pub observations: Observations,
    /// History events that wait to be delivered.
    pub sink: Sink,
    /// How long the last events may take after a stop was asked for; then they go to the spool.
    pub last_words: Duration,
}

/// How the connection stands, for `/readyz`, metrics and `/debug/state`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlStatus {
    /// Both streams are open.
    pub connected: bool,
    /// The controller has said that the snapshot is complete, at least once.
    pub synced: bool,
    /// Connections lost or refused since the start.
    pub failures: u64,
    /// Why the last one was; `None` while connected.
    pub last_error: Option<String>,
    /// What was refused of the last push that had something refused, and is not in force.
    pub refusals: Vec<Refusal>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{what} {path} could not be read")]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the token in {path} is not one line of printable characters")]
    Token { path: PathBuf },
    #[error("the connection could not be made")]
    Connect(#[source] tonic::transport::Error),
    #[error("the controller ended the stream with {:?}: {}", .0.code(), .0.message())]
    Stream(Box<tonic::Status>),
    /// It goes away, or wants its proxies spread anew: another replica may take the next connection.
    #[error("the controller closed the stream")]
    Closed,
}

impl Control {
    /// Keeps connected until `stop`, which is to be cancelled after the last request has ended: what
    /// was offered before is still delivered, if need be over a new connection, until [`Control::last_words`]
    /// are over.
    pub async fn run(self, stop: CancellationToken) {
        let mut overdue = std::pin::pin!(overdue(&stop, self.last_words));
        // What is held, complete or not: after a reconnect only the rest is sent.
        let mut held = Snapshot::default();
        let mut failures_in_a_row = 0;
        let mut told = None;
        loop {
            let ended = tokio::select! {
                ended = self.connect(&mut held, &stop) => ended,
                () = &mut overdue => return,
            };
            let Err(error) = ended else { return };
            if stop.is_cancelled() && self.sink.depth().is_empty() {
                return;
            }
            let was_connected = self.status.borrow().connected;
            failures_in_a_row = if was_connected { 0 } else { failures_in_a_row + 1 };
            let pause = if matches!(error, LinkError::Closed) && was_connected {
                self.status.send_modify(|status| status.connected = false);
                info!("the controller asked for a new connection");
                MOVE_PAUSE.mul_f64(rand::rng().random_range(0.0..=1.0))
            } else {
                self.lost(&error, &mut told);
                pause(failures_in_a_row, &mut rand::rng())
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut overdue => return,
            }
        }
    }

    /// One connection, until it breaks. `Ok` when it ended because everything was said.
    async fn connect(&self, held: &mut Snapshot, stop: &CancellationToken) -> Result<(), LinkError> {
        let client = tokio::select! {
            client = dial(&self.config) => client?,
            () = self.stopped_with_nothing_left(stop) => return Ok(()),
        };
        tokio::select! {
            ended = subscribe::session(self, client.clone(), held) => ended,
            ended = report::session(self, client, stop) => ended,
        }
    }

    async fn stopped_with_nothing_left(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        if !self.sink.depth().is_empty() {
            std::future::pending::<()>().await;
        }
    }

    /// `told`: what was said last of a controller that is away, and when.
    fn lost(&self, error: &LinkError, told: &mut Option<(String, Instant)>) {
        let reason = with_sources(error);
        let was_connected = self.status.borrow().connected;
        self.status.send_modify(|status| {
            status.connected = false;
            status.failures += 1;
            status.last_error = Some(reason.clone());
        });
        // Said when it begins, when the reason changes, and now and then; in between the metric counts.
        let known = told.as_ref().is_some_and(|(said, at)| *said == reason && at.elapsed() < SAY_AGAIN);
        if known && !was_connected {
            return;
        }
        let controller = self.config.url.as_str();
        if self.status.borrow().synced {
            warn!(controller, reason, "the controller is away; the last snapshot stays in force");
        } else {
            warn!(controller, reason, "waiting for the first state from the controller");
        }
        *told = Some((reason, Instant::now()));
    }

    fn connected(&self) {
        info!(controller = self.config.url, "connected to the controller");
        self.status.send_modify(|status| {
            status.connected = true;
            status.last_error = None;
        });
    }
}

impl From<tonic::Status> for LinkError {
    fn from(status: tonic::Status) -> Self {
        Self::Stream(Box::new(status))
    }
}

/// Between half of and all of a time that doubles with every failure, so that proxies that lost the
/// same controller do not come back at the same instant.
fn pause(failures: u32, rng: &mut impl Rng) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(rng.random_range(0.5..=1.0))
}

async fn overdue(stop: &CancellationToken, last_words: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(last_words).await;
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    #[test]
    fn pauses_grow_to_a_bound_and_are_spread() {
        let mut rng = SmallRng::seed_from_u64(7);
        for failures in 0..40 {
            let pause = pause(failures, &mut rng);
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{failures}: {pause:?}");
        }
        assert!(pause(30, &mut rng) >= LONGEST_PAUSE / 2);
        assert_ne!(pause(30, &mut rng), pause(30, &mut rng));
    }
}
