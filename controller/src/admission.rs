//! The webhook that puts sidecars into pods, served by every replica.
//!
//! | module | what it owns |
//! |---|---|
//! | `review` | the API server's question, and the answer |
//! | [`bundle`] | the webhook configuration trusts our authority |
//!
//! Which pods it is asked about is for the webhook configuration to say: pods in namespaces with the label
//! `penstock.dev/inject: "true"`, and pods with that label. The API server knows the labels as they are now; so
//! a namespace that was labelled a moment ago is never missed, and nothing is looked up here. Never keeps a
//! pod from starting for a reason of our own: what cannot be answered is allowed, with a warning.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use kube::Client;
use penstock_controller_core::inject::{Settings, has_native_sidecars};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::listener::{TlsListener, serve_and_leave};
use crate::metrics::AdmissionMetrics;

pub mod bundle;
mod review;

use review::{Answered, Review};

/// The path that the webhook configuration names.
pub const PATH: &str = "/inject";
/// The API server itself takes requests up to 3 MiB; a review holds the object once.
const LARGEST_REVIEW: usize = 4 << 20;
/// After a stop was asked for: an API server that calls often is sent elsewhere by an answer, not by a closed connection,
/// which would cost the pod its sidecar. Shorter than what a stopping process leaves its listeners (`app/tasks.rs`).
const LAST_CALLS: Duration = Duration::from_secs(2);

/// The webhook. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admission {
    settings: Arc<Settings>,
    metrics: AdmissionMetrics,
}

impl Admission {
    /// A webhook that injects as `settings` say.
    pub fn new(settings: Settings, metrics: AdmissionMetrics) -> Self {
        Self { settings: Arc::new(settings), metrics }
    }

    /// Serves the listener until `stop` and two seconds more, and ends the answers that were under way then.
    ///
    /// # Errors
    /// If the listener has no address.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: &ServerConfig,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let mut tls = tls.clone();
        // An API server may have been told to leave HTTP/2 alone.
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TlsListener::new(listener, Arc::new(tls))?;
        let router = Router::new()
            .route(PATH, post(inject))
            .layer(DefaultBodyLimit::max(LARGEST_REVIEW))
            .with_state(self);
        serve_and_leave(listener, router, stop, LAST_CALLS).await
    }
}

/// Whether the cluster runs sidecars among the init containers; supposed where it does not say.
pub async fn native_sidecars(client: &Client) -> bool {
    match client.apiserver_version().await {
        Ok(version) => has_native_sidecars(&version.major, &version.minor),
        Err(error) => {
            warn!(%error, "the API server's version is not known: supposing 1.29 or later for sidecars");
            true
        }
    }
}

async fn inject(State(admission): State<Admission>, body: Bytes) -> Response {
    let review = match serde_json::from_slice::<Review>(&body) {
        Ok(review) => review,
        Err(error) => {
            warn!(%error, "a review could not be read");
            return (StatusCode::BAD_REQUEST, format!("no AdmissionReview: {error}\n")).into_response();
        }
    };
    let (namespace, pod) = (review.namespace(), review.pod());
    let (answer, answered) = review.answer(&admission.settings);
    let outcome = answered.as_label();
    match &answered {
        Answered::Injected => info!(namespace, pod, "a pod gets a sidecar"),
        Answered::Skipped => debug!(namespace, pod, "a pod stays without a sidecar"),
        Answered::Refused(reasons) => info!(namespace, pod, reasons, "a pod cannot have a sidecar"),
        Answered::Failed(error) => warn!(namespace, pod, error, "a review could not be answered"),
    }
    admission.metrics.reviewed(outcome);
    axum::Json(answer).into_response()
}
