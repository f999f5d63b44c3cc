//! Whether this replica lives, and whether it serves: for the kubelet. Says nothing of accounts or callers.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::ingest::Ingest;

/// `/livez` and `/readyz`, which anybody may ask under any name.
pub fn router<S: Clone + Send + Sync + 'static>(ingest: Ingest, stop: CancellationToken) -> Router<S> {
    let ready = move || std::future::ready(readiness(&ingest, &stop));
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready))
}

/// Ready as long as it serves: the first plan was decided before it began to. The history may be away: proxies
/// keep what they cannot deliver, and are told of limits all the same.
fn readiness(ingest: &Ingest, stop: &CancellationToken) -> (StatusCode, &'static str) {
    if stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if ingest.is_storing() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::OK, "ok, but history is not stored now: the database is away; proxies keep it\n")
    }
}
