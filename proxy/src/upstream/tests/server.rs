//! A server that does what the test says, and short ways to ask it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use penstock_proto::snapshot::Egress;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::upstream::{
    Request, RequestBody, Response, ResponseBody, Target, Timeouts, Tls, UpstreamError, Upstreams,
};

/// Long enough that no test meets it.
pub(super) const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(60),
    head: Duration::from_secs(60),
    idle: Duration::from_secs(60),
};

pub(super) struct Server {
    listener: TcpListener,
}

/// The server's end of one connection.
pub(super) struct Peer<S = TcpStream> {
    pub(super) stream: S,
    buf: BytesMut,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port") }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("bound"))
    }

    pub(super) fn target(&self) -> Target {
        Target::parse(&self.url(), &Egress::default()).expect("valid")
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().expect("bound").port()
    }

    pub(super) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        Peer::new(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buf: BytesMut::new() }
    }

    /// The next request's head.
    pub(super) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buf, b"\r\n\r\n") {
                let head = self.buf.split_to(end + 4);
                return String::from_utf8(head.to_vec()).expect("text");
            }
            assert_ne!(self.stream.read_buf(&mut self.buf).await.expect("open"), 0, "closed within a head");
        }
    }

    /// The next `length` bytes.
    pub(super) async fn bytes(&mut self, length: usize) -> Vec<u8> {
        while self.buf.len() < length {
            assert_ne!(self.stream.read_buf(&mut self.buf).await.expect("open"), 0, "closed within a body");
        }
        self.buf.split_to(length).to_vec()
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("open");
        self.stream.flush().await.expect("open");
    }

    /// Reads a request without a body and answers it.
    pub(super) async fn answer(&mut self, response: impl AsRef<[u8]>) {
        self.head().await;
        self.send(response).await;
    }

    /// Waits until the client has closed the connection.
    pub(super) async fn is_closed(&mut self) {
        self.buf.advance(self.buf.len());
        while self.stream.read_buf(&mut self.buf).await.is_ok_and(|read| read > 0) {
            self.buf.clear();
        }
    }
}

impl Peer {
    /// Ends the connection the hard way.
    pub(super) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }
}

pub(super) fn upstreams() -> Upstreams {
    #[expect(clippy::disallowed_methods, reason = "a test has no listener")]
    Upstreams::new(Arc::new(Tls::default()), Arc::new(|driver| drop(tokio::spawn(driver))))
}

pub(super) async fn get(upstreams: &Upstreams, target: &Target) -> Result<Response, UpstreamError> {
    send(upstreams, target, Method::GET, RequestBody::Empty).await
}

pub(super) async fn post(
    upstreams: &Upstreams,
    target: &Target,
    body: &[Bytes],
) -> Result<Response, UpstreamError> {
    send(upstreams, target, Method::POST, RequestBody::Segments(body)).await
}

pub(super) async fn send(
    upstreams: &Upstreams,
    target: &Target,
    method: Method,
    body: RequestBody<'_>,
) -> Result<Response, UpstreamError> {
    let request = Request { method: &method, path: "/v1/messages", headers: &[], body };
    upstreams.send(target, request, PATIENT).await
}

/// The whole body, or what ended it.
pub(super) async fn read(body: &mut ResponseBody) -> Result<Vec<u8>, UpstreamError> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

/// The whole body of a request that must succeed.
pub(super) async fn text(response: Result<Response, UpstreamError>) -> String {
    let body = read(&mut response.expect("a response").body).await.expect("a whole body");
    String::from_utf8(body).expect("text")
}
