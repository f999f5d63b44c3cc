//! The proxy's end of the control plane: one connection to the controller, and what goes over it.
//!
//! | module | what it does |
//! |---|---|
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
use penstock_proto::wire::control_client::ControlClient;
use rand::Rng;
use rustls::RootCertStore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tracing::{info, warn};

use crate::config::ControllerConfig;
use crate::observations::Observations;
use crate::sink::Sink;

mod report;
mod subscribe;

/// For name resolution, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A controller that answers neither a ping nor anything else is given up after the sum of both: 9 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// First pause after a lost connection; it doubles with every failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause: a controller that is back is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long the last events may take after a stop was asked for; then they go to the spool.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A push is cut at about 1 MiB by the controller; one resource alone may be larger.
const LARGEST_PUSH: usize = 16 << 20;

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
    #[error("the controller closed the stream")]
    Closed,
}

type Client = ControlClient<InterceptedService<Channel, Bearer>>;

/// Puts the token on every call.
#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl Control {
    /// Keeps connected until `stop`, which is to be cancelled after the last request has ended: what
    /// was offered before is still delivered, for up to five seconds.
    pub async fn run(self, stop: CancellationToken) {
        // What is held, complete or not: after a reconnect only the rest is sent.
        let mut held = Snapshot::default();
        let mut failures_in_a_row = 0;
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                ended = self.connect(&mut held, &stop) => ended,
                () = overdue(&stop) => return,
            };
            let Err(error) = ended else { return };
            failures_in_a_row = if self.status.borrow().connected { 0 } else { failures_in_a_row + 1 };
            self.lost(&error);
            let pause = pause(failures_in_a_row, &mut rand::rng());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One connection, until it breaks. `Ok` when it ended because everything was said.
    async fn connect(&self, held: &mut Snapshot, stop: &CancellationToken) -> Result<(), LinkError> {
        let client = tokio::select! {
            client = dial(&self.config) => client?,
            () = stop.cancelled() => return Ok(()),
        };
        tokio::select! {
            ended = subscribe::session(self, client.clone(), held) => ended,
            ended = report::session(self, client, stop) => ended,
        }
    }

    fn lost(&self, error: &LinkError) {
        let reason = with_sources(error);
        let was_connected = self.status.borrow().connected;
        self.status.send_modify(|status| {
            status.connected = false;
            status.failures += 1;
            status.last_error = Some(reason.clone());
        });
        // Said when it begins; while it lasts the metric counts.
        if was_connected || self.status.borrow().failures == 1 {
            warn!(reason, "the controller is away; the last snapshot stays in force");
        }
    }

    fn connected(&self) {
        info!(controller = self.config.url, "connected to the controller");
        self.status.send_modify(|status| {
            status.connected = true;
            status.last_error = None;
        });
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl From<tonic::Status> for LinkError {
    fn from(status: tonic::Status) -> Self {
        Self::Stream(Box::new(status))
    }
}

/// Certificates and token are read for every connection, because both rotate.
async fn dial(config: &ControllerConfig) -> Result<Client, LinkError> {
    let tls = match &config.ca_file {
        Some(path) => ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("the certificate authority", path).await?)),
        None => ClientTlsConfig::new().trust_anchors(platform_roots()),
    };
    let token = match &config.token_file {
        Some(path) => Some(bearer(path, &read("the token", path).await?)?),
        None => None,
    };
    let channel = Endpoint::from_shared(config.url.clone())
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(LinkError::Connect)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(LinkError::Connect)?;
    let client = ControlClient::with_interceptor(channel, Bearer(token));
    Ok(client.max_decoding_message_size(LARGEST_PUSH))
}

async fn read(what: &'static str, path: &PathBuf) -> Result<String, LinkError> {
    tokio::fs::read_to_string(path).await.map_err(|source| LinkError::File {
        what,
        path: path.clone(),
        source,
    })
}

fn bearer(path: &std::path::Path, token: &str) -> Result<MetadataValue<Ascii>, LinkError> {
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", token.trim()).parse().map_err(|_| LinkError::Token { path: path.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn platform_roots() -> Vec<rustls::pki_types::TrustAnchor<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.roots
}

/// Between half of and all of a time that doubles with every failure, so that proxies that lost the
/// same controller do not come back at the same instant.
fn pause(failures: u32, rng: &mut impl Rng) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(rng.random_range(0.5..=1.0))
}

async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WORDS).await;
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

    #[test]
    fn a_token_with_a_line_break_inside_is_refused_without_being_repeated() {
        let error = bearer("token".as_ref(), "sk-a\nsk-b").unwrap_err();
        assert!(!with_sources(&error).contains("sk-"), "{error}");
        assert!(bearer("token".as_ref(), "sk-a\n").is_ok());
    }
}
