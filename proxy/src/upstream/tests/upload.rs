//! How request bodies are sent, also when the answer comes before their end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body, Frame};
use tokio::join;

use super::server::{Server, get, post, read, send, text, upstreams};
use crate::upstream::{BoxError, RequestBody, UpstreamError};

/// More than the socket buffers of both sides take.
const LARGE: usize = 48 * 1024 * 1024;

/// Yields the pieces, then ends or fails.
struct Pieces(Vec<Result<Bytes, BoxError>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }
}

fn streamed(length: Option<u64>, pieces: Vec<Result<Bytes, BoxError>>) -> RequestBody<'static> {
    RequestBody::Stream { length, source: Box::pin(Pieces(pieces)) }
}

#[tokio::test]
async fn segments_arrive_in_order_and_whole() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let segments: Vec<Bytes> = (0..100u8).map(|n| vec![n; usize::from(n) * 1_000].into()).collect();
    let whole = segments.concat();
    let script = async {
        let mut peer = server.accept().await;
        assert!(peer.head().await.contains(&format!("content-length: {}\r\n", whole.len())));
        assert_eq!(peer.bytes(whole.len()).await, whole);
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    };
    let client = async { assert_eq!(text(post(&upstreams, &target, &segments).await).await, "ok") };
    join!(script, client);
}

#[tokio::test]
async fn a_refusal_before_the_end_of_the_upload_is_read() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let (target, body) = (server.target(), [Bytes::from(vec![1; LARGE])]);
    let script = async {
        let mut peer = server.accept().await;
        // It reads nothing of the body and keeps the connection open: nobody may wait for the other.
        peer.answer("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await;
        peer.is_closed().await;
    };
    let client = async {
        let mut response = post(&upstreams, &target, &body).await.expect("a response");
        assert_eq!(response.head.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(read(&mut response.body).await.expect("whole"), b"big");
    };
    join!(script, client);
}

#[tokio::test]
async fn an_upload_goes_on_while_its_early_answer_is_read() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let (target, body) = (server.target(), [Bytes::from(vec![1; LARGE])]);
    let script = async {
        let mut peer = server.accept().await;
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await;
        assert_eq!(peer.bytes(LARGE).await.len(), LARGE);
        peer.send("done").await;
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    };
    let client = async {
        assert_eq!(text(post(&upstreams, &target, &body).await).await, "done");
        assert_eq!(text(get(&upstreams, &target).await).await, "ok");
    };
    join!(script, client);
    assert_eq!(upstreams.counts().opened, 1);
}

#[tokio::test]
async fn a_streamed_body_is_chunked_unless_its_length_is_known() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let pieces = || vec![Ok(Bytes::from("hello ")), Ok(Bytes::new()), Ok(Bytes::from("upstream"))];
    let script = async {
        let mut peer = server.accept().await;
        assert!(peer.head().await.contains("transfer-encoding: chunked\r\n"));
        assert_eq!(peer.bytes(29).await, b"6\r\nhello \r\n8\r\nupstream\r\n0\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1").await;
        let mut peer = server.accept().await;
        assert!(peer.head().await.contains("content-length: 14\r\n"));
        assert_eq!(peer.bytes(14).await, b"hello upstream");
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2").await;
    };
    let client = async {
        for (length, answer) in [(None, "1"), (Some(14), "2")] {
            let body = streamed(length, pieces());
            assert_eq!(text(send(&upstreams, &target, Method::POST, body).await).await, answer);
        }
    };
    join!(script, client);
}

#[tokio::test]
async fn a_streamed_body_that_breaks_or_lies_about_its_length_ends_the_request() {
    let broken = || vec![Ok(Bytes::from("abc")), Err("the client left".into())];
    let short = || vec![Ok(Bytes::from("abc"))];
    for (length, pieces) in [(None, broken()), (Some(4), short()), (Some(2), short())] {
        let (server, upstreams) = (Server::start().await, upstreams());
        let target = server.target();
        let script = async { server.accept().await.is_closed().await };
        let client = async {
            let sent = send(&upstreams, &target, Method::POST, streamed(length, pieces)).await;
            assert!(matches!(sent, Err(UpstreamError::RequestBody(_))));
        };
        join!(script, client);
    }
}
