//! Where proxies connect: pushes to them and reports from them, over TLS with the controller's own
//! authority.
//!
//! | module | what it does |
//! |---|---|
//! | [`identity`] | who a peer is, and what it may see |
//! | [`views`] | what each kind of peer may see of the plan, worked out once for all of them |
//! | [`subscribe`] | one stream of pushes and answers |
//! | [`report`] | one stream of observations and events |
//!
//! Never decides what a proxy should know (that is the plan) and never stores (that is `ingest`).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use penstock_proto::wire;
use rand::Rng;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use wire::control_server::{Control, ControlServer};

use crate::ingest::Ingest;
use crate::listener::handshakes;
use crate::metrics::GrpcMetrics;
use crate::proxies::Registry;
use crate::reconcile::Reconciler;

pub mod identity;
mod report;
mod subscribe;
mod views;

pub use identity::Identity;
use views::Views;

/// A proxy that answers neither a ping nor anything else is gone after the sum of both.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A stream is ended after ten to twenty minutes, and the proxy comes back at once, to any replica: one that
/// was restarted has its share again in this time, and a token that was revoked opens nothing for longer.
const STREAM_AGE: Duration = Duration::from_mins(20);
/// Proxies cut batches at 1 MiB; one event alone may be larger.
const LARGEST_REPORT: usize = 16 << 20;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Grpc {
    identity: Identity,
    stream_age: Duration,
    views: Arc<Views>,
    registry: Registry,
    reconciler: Reconciler,
    ingest: Ingest,
    metrics: GrpcMetrics,
    stop: CancellationToken,
}

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

impl Grpc {
    /// A service that serves until `stop`; then every stream is told that the controller goes away.
    pub fn new(
        identity: Identity,
        registry: Registry,
        reconciler: Reconciler,
        ingest: Ingest,
        metrics: GrpcMetrics,
        stop: CancellationToken,
    ) -> Self {
        let (stream_age, views) = (STREAM_AGE, Arc::default());
        Self { identity, stream_age, views, registry, reconciler, ingest, metrics, stop }
    }

    /// The same with streams of another age at most; none lives shorter than half of it.
    #[must_use]
    pub fn with_stream_age(self, stream_age: Duration) -> Self {
        Self { stream_age, ..self }
    }

    /// Serves the listener until the service's `stop` and the end of the streams that were open then.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Arc<ServerConfig>,
    ) -> Result<(), tonic::transport::Error> {
        let stop = self.stop.clone();
        let incoming = Box::pin(handshakes(listener, tls));
        let service = ControlServer::new(self).max_decoding_message_size(LARGEST_REPORT);
        Server::builder()
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .tcp_nodelay(true)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await
    }
}

#[tonic::async_trait]
impl Control for Grpc {
    type SubscribeStream = Answers<wire::SubscribeResponse>;
    type ReportStream = Answers<wire::ReportResponse>;

    async fn subscribe(
        &self,
        request: Request<Streaming<wire::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let peer = self.authenticate(&request).await?;
        Ok(Response::new(Box::pin(subscribe::pushes(self.clone(), peer, request.into_inner()).await?)))
    }

    async fn report(
        &self,
        request: Request<Streaming<wire::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let peer = self.authenticate(&request).await?;
        Ok(Response::new(Box::pin(report::answers(self.clone(), peer, request.into_inner()).await?)))
    }
}

impl Grpc {
    async fn authenticate<T>(&self, request: &Request<T>) -> Result<identity::Peer, Status> {
        self.identity.authenticate(request.metadata()).await.inspect_err(|_| self.metrics.refused())
    }

    /// When a stream that begins now is to end, so that proxies spread over the replicas there are, and prove
    /// again who they are.
    fn stream_ends(&self) -> Instant {
        Instant::now() + self.stream_age.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}
