//! HTTP/2 with an upstream, through hyper: many requests on one connection.
//! The connection's driver is the only task of the upstream leg; whoever owns the worker spawns it.

pub(crate) mod body;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use penstock_proxy_core::headers::Headers;
use tokio::time::{Instant, timeout_at};

use super::error::{Stage, UpstreamError};
use super::headers::{is_hop_by_hop, is_ours_in_a_request};
use super::io::UpstreamIo;
use super::{Request, Spawner, Target};
use crate::head::ResponseHead;
use body::Http2Body;
use upload::{Http2Upload, Progress};

/// The number that servers commonly allow (nginx 128, most others 100); above it another connection is opened rather
/// than waiting for a stream to end that may last minutes.
const MAX_STREAMS: usize = 100;
/// What a slow reader's stream may hold here. At 100 ms to the provider it allows 2.5 MiB/s per stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// All streams' windows together, so that slow readers never stop the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;
/// A connection that carries many streams must not be silently dead for long.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// An open HTTP/2 connection. Clones share it, and each counts as a stream until it is used up or dropped.
#[derive(Clone)]
pub(crate) struct Http2 {
    sender: SendRequest<Http2Upload>,
    /// One reference per stream, beside the pool's own.
    streams: Arc<()>,
}

/// Keeps count of a stream while it lives.
pub(crate) struct StreamGuard(#[expect(dead_code, reason = "held for its count")] Arc<()>);

/// A request that came to nothing.
pub(crate) struct Failed {
    pub(crate) error: UpstreamError,
    /// The upstream says that it has not looked at the request, or it was never sent.
    pub(crate) was_not_processed: bool,
}

impl Http2 {
    /// Begins HTTP/2 on a new connection.
    pub(crate) async fn begin(io: UpstreamIo, spawn: &Spawner) -> Result<Self, UpstreamError> {
        let handshake = Builder::new(Driver(Arc::clone(spawn)))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(io));
        let (sender, connection) = handshake.await.map_err(UpstreamError::Http2)?;
        // Its error reaches the requests that were on it.
        spawn(Box::pin(async move { drop(connection.await) }));
        Ok(Self { sender, streams: Arc::default() })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether another stream may be opened.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_closed() && self.in_flight() < MAX_STREAMS
    }

    pub(crate) fn is_in_use(&self) -> bool {
        self.in_flight() > 0
    }

    /// Sends a request and waits for the response head. `limit` is what a streamed body that moves extends the
    /// deadline by.
    pub(crate) async fn exchange(
        self,
        target: &Target,
        request: &mut Request<'_>,
        deadline: Instant,
        limit: Duration,
        idle: Duration,
    ) -> Result<(ResponseHead, Http2Body), Failed> {
        let Self { mut sender, streams } = self;
        let guard = StreamGuard(streams);
        let progress = Arc::<Progress>::default();
        let message = message(target, request, &progress).map_err(Failed::from)?;
        let mut response = std::pin::pin!(sender.try_send_request(message));
        let mut deadline = deadline;
        let result = loop {
            match timeout_at(deadline, &mut response).await {
                Ok(result) => break result,
                Err(_) if progress.take_moved() => deadline = Instant::now() + limit,
                Err(_) => return Err(UpstreamError::Timeout(Stage::Head).into()),
            }
        };
        match result {
            Ok(response) => {
                let (parts, incoming) = response.into_parts();
                let mut headers = Headers::from(&parts.headers);
                headers.retain(|name| !is_hop_by_hop(name) || name == b"content-length");
                let head = ResponseHead { status: parts.status, headers };
                Ok((head, Http2Body::new(incoming, guard, idle)))
            }
            Err(failed) => {
                let never_sent = failed.message().is_some();
                let error = failed.into_error();
                let was_not_processed = never_sent || is_refused(&error);
                let error = progress.source_error().unwrap_or(UpstreamError::Http2(error));
                Err(Failed { error, was_not_processed })
            }
        }
    }

    /// All but the pool's own reference.
    fn in_flight(&self) -> usize {
        Arc::strong_count(&self.streams).saturating_sub(1)
    }
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        Self { error, was_not_processed: false }
    }
}

/// Runs hyper's futures where the worker wants them.
#[derive(Clone)]
struct Driver(Spawner);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Driver {
    fn execute(&self, future: F) {
        (self.0)(Box::pin(future));
    }
}

fn message(
    target: &Target,
    request: &mut Request<'_>,
    progress: &Arc<Progress>,
) -> Result<http::Request<Http2Upload>, UpstreamError> {
    let body = Http2Upload::new(&mut request.body, request.method, progress);
    let path = [target.prefix(), request.path].concat();
    let path = PathAndQuery::try_from(path).map_err(|_| UpstreamError::InvalidRequest)?;
    let uri = Uri::builder().scheme(target.scheme().as_str()).authority(target.authority().clone());
    let mut message = http::Request::new(body);
    *message.uri_mut() = uri.path_and_query(path).build().map_err(|_| UpstreamError::InvalidRequest)?;
    request.method.clone_into(message.method_mut());
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    for line in request.headers.iter().filter(|line| !is_ours_in_a_request(line.name)) {
        let name = HeaderName::from_bytes(line.name).map_err(|_| UpstreamError::InvalidRequest)?;
        let mut value = HeaderValue::from_bytes(&line.value).map_err(|_| UpstreamError::InvalidRequest)?;
        value.set_sensitive(line.secret);
        headers.append(name, value);
    }
    if let Some(length) = message.body().length() {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    *message.headers_mut() = headers;
    Ok(message)
}

/// Whether the upstream says that it did nothing with the request, so that it may be sent again (RFC 9113 section 8.7):
/// `REFUSED_STREAM`, or a `GOAWAY` that names an earlier stream as the last one; h2 fails only the later ones with it.
fn is_refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM) || error.is_go_away();
            return refused && error.is_remote();
        }
        source = error.source();
    }
    false
}
