//! Sockets: accepts connections and serves each in a task of its own, until the simulator stops.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Body as ControlBody};
use http::{Request, Response};
use http_body_util::Either;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{bench::Prepared, playback::Playback, service, socket::Socket, state::State};

/// Where requests to `/_control` go; all others are the provider's.
pub(crate) const CONTROL: &str = "/_control";

/// What a listener serves.
#[derive(Clone)]
pub(crate) enum Serves {
    /// The provider, and the control interface.
    All(Arc<State>, Router),
    /// The control interface only.
    Control(Router),
    /// Prepared answers only.
    Prepared(Arc<Prepared>),
}

type Answer = Response<Either<Playback, ControlBody>>;

/// Starts to serve on `listener` until `stop`.
pub(crate) fn start(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    serves: Serves,
    stop: CancellationToken,
) {
    #[expect(clippy::disallowed_methods, reason = "the accept loop: long-lived, ends with `stop`")]
    tokio::spawn(accept(listener, tls, serves, stop));
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, serves: Serves, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                #[expect(clippy::disallowed_methods, reason = "one task a connection")]
                tokio::spawn(connection(stream, tls.clone(), serves.clone(), stop.clone()));
            }
            // Out of descriptors, most likely: others must end first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, serves: Serves, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let reset = CancellationToken::new();
    let socket = Socket::new(stream, reset.clone());
    let exchanges = async {
        match tls {
            None => exchange(socket, serves, reset.clone()).await,
            Some(tls) => {
                if let Ok(stream) = tls.accept(socket).await {
                    exchange(stream, serves, reset.clone()).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = reset.cancelled() => {}
        () = stop.cancelled() => {}
        () = exchanges => {}
    }
}

async fn exchange<S>(stream: S, serves: Serves, reset: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let (serves, reset) = (serves.clone(), reset.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(serves, reset, request).await) }
    });
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).pipeline_flush(true);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(1_000);
    // A connection that breaks is the client's affair, or a fault's; the journal knows.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(serves: Serves, reset: CancellationToken, request: Request<Incoming>) -> Answer {
    let is_control = request.uri().path().starts_with(CONTROL);
    match serves {
        Serves::All(_, router) | Serves::Control(router) if is_control => control(router, request).await,
        Serves::All(state, _) => service::serve(&state, reset, request).await.map(Either::Left),
        Serves::Control(router) => control(router, request).await,
        Serves::Prepared(prepared) => prepared.answer(reset, request).await.map(Either::Left),
    }
}

async fn control(router: Router, request: Request<Incoming>) -> Answer {
    match router.oneshot(request).await {
        Ok(response) => response.map(Either::Right),
        Err(never) => match never {},
    }
}

/// Binds.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}
