//! The admin listener: probes, metrics, state without secrets. Separate from the workloads' listener, so
//! that it answers whatever they do, and is not reachable by them where the network says so.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::control::ControlStatus;
use crate::metrics;
use crate::state::State;

mod debug;

/// Longest time for a request head, and between two requests of one connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections at the same time: probes, a scraper and some people.
const MAX_CONNECTIONS: usize = 64;

/// Serves until the stop.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    control: watch::Receiver<ControlStatus>,
    stop: CancellationToken,
) {
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if open.len() < MAX_CONNECTIONS => accepted,
            Some(_) = open.join_next() => continue,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (state, control) = (Arc::clone(&state), control.clone());
                let service = service_fn(move |request| {
                    let response = answer(&request, &state, &control);
                    async { Ok::<_, Infallible>(response) }
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                open.spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
            // No file descriptors left, as a rule: a busy loop would make it worse.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn answer(
    request: &Request<Incoming>,
    state: &Arc<State>,
    control: &watch::Receiver<ControlStatus>,
) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
    }
    match request.uri().path() {
        // Alive as long as this answers: accounts and controller do not count.
        "/livez" => reply(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if state.is_ready() => reply(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if state.shutdown.drain.is_cancelled() => {
            reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n")
        }
        "/readyz" => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, waiting_for(state, &control.borrow())),
        "/metrics" => match metrics::render(state, control.borrow().clone()) {
            Ok(text) => {
                reply(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
            }
            Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "metrics cannot be written\n"),
        },
        "/debug/state" => match debug::render(state, &control.borrow()) {
            Ok(json) => reply(StatusCode::OK, "application/json", json),
            Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "state cannot be written\n"),
        },
        _ => reply(StatusCode::NOT_FOUND, TEXT, "/livez /readyz /metrics /debug/state\n"),
    }
}

/// What a probe shows in the pod's events, as long as nothing was pushed.
fn waiting_for(state: &State, control: &ControlStatus) -> String {
    let why = control.last_error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("waiting for the first state from {}{why}\n", state.config.controller.url)
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
