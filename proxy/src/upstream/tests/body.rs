//! How response bodies arrive, end and fail to end.

use std::time::Duration;

use http::Method;
use http_body::Body as _;
use tokio::join;

use super::server::{PATIENT, Server, get, read, send, text, upstreams};
use crate::upstream::{ProtocolError, Request, RequestBody, ResponseBody, Stage, Timeouts, UpstreamError};

/// What reading the body of this response gives, if the server closes the connection after it.
async fn outcome(response: &str) -> Result<Vec<u8>, UpstreamError> {
    let (server, upstreams) = (Server::start().await, upstreams());
    let script = async { server.accept().await.answer(response).await };
    let target = server.target();
    let client = async { read(&mut get(&upstreams, &target).await?.body).await };
    join!(script, client).1
}

#[tokio::test]
async fn all_that_has_arrived_is_one_piece() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let events = "a\r\ndata: 123\n\r\n".repeat(56);
    let script = async {
        let response = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{events}0\r\n\r\n");
        server.accept().await.answer(response).await;
    };
    let target = server.target();
    let client = async {
        let mut response = get(&upstreams, &target).await.expect("a response");
        let piece = response.body.next().await.expect("a piece").expect("whole");
        assert_eq!(piece.len(), 560);
        assert!(response.body.is_end_stream());
        assert!(response.body.next().await.is_none());
    };
    join!(script, client);
}

#[tokio::test]
async fn a_body_that_ends_before_its_end_is_an_error() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 200 O",
    ] {
        assert!(matches!(outcome(response).await, Err(UpstreamError::Truncated)), "{response:?}");
    }
}

#[tokio::test]
async fn malformed_framing_within_a_body_is_an_error() {
    let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n";
    assert!(matches!(outcome(response).await, Err(UpstreamError::Protocol(ProtocolError::Chunk))));
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    assert_eq!(outcome("HTTP/1.1 200 OK\r\n\r\nabc").await.expect("whole"), b"abc");
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_and_keeps_the_connection() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let script = async {
        let mut peer = server.accept().await;
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    };
    let client = async {
        let response = send(&upstreams, &target, Method::HEAD, RequestBody::Empty).await.expect("a response");
        assert_eq!(response.head.headers.get("content-length"), Some(&b"1000"[..]));
        assert!(response.body.is_end_stream());
        assert_eq!(text(get(&upstreams, &target).await).await, "ok");
    };
    join!(script, client);
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_body_is_an_error() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let (started, start) = tokio::sync::oneshot::channel();
    let script = async {
        let mut peer = server.accept().await;
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc").await;
        start.await.expect("the client has the first piece");
        peer.reset();
    };
    let client = async {
        let mut response = get(&upstreams, &target).await.expect("a response");
        response.body.next().await.expect("a piece").expect("whole");
        started.send(()).expect("a server");
        assert!(matches!(response.body.next().await, Some(Err(UpstreamError::Reset(_)))));
        assert!(response.body.next().await.is_none());
    };
    join!(script, client);
}

#[tokio::test]
async fn an_upstream_that_falls_silent_is_given_up() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let script = async {
        let mut mute = server.accept().await;
        mute.head().await;
        mute.is_closed().await;
        let mut hanging = server.accept().await;
        hanging.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc").await;
        hanging.is_closed().await;
    };
    let client = async {
        let method = Method::GET;
        let request = || Request { method: &method, path: "/", headers: &[], body: RequestBody::Empty };
        let impatient = Timeouts { head: Duration::from_millis(20), ..PATIENT };
        let mute = upstreams.send(&target, request(), impatient).await;
        assert!(matches!(mute, Err(UpstreamError::Timeout(Stage::Head))));
        let impatient = Timeouts { idle: Duration::from_millis(20), ..PATIENT };
        let mut hanging = upstreams.send(&target, request(), impatient).await.expect("a response");
        let ended = read(&mut hanging.body).await;
        assert!(matches!(ended, Err(UpstreamError::Timeout(Stage::Body))));
    };
    join!(script, client);
}

#[tokio::test]
async fn leaving_closes_the_connection_at_once() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let before_the_head = async {
        let mut peer = server.accept().await;
        peer.head().await;
        peer
    };
    let mut peer = tokio::select! {
        peer = before_the_head => peer,
        _ = get(&upstreams, &target) => panic!("there was no answer"),
    };
    peer.is_closed().await;

    let within_the_body = async {
        let mut peer = server.accept().await;
        peer.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
        peer
    };
    let (mut peer, response) = join!(within_the_body, get(&upstreams, &target));
    let mut body: ResponseBody = response.expect("a response").body;
    body.next().await.expect("a piece").expect("whole");
    drop(body);
    peer.is_closed().await;
}

#[tokio::test]
async fn a_slow_reader_slows_its_upstream() {
    const TOTAL: usize = 64 * 1024 * 1024;
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let begin = async {
        let mut peer = server.accept().await;
        peer.answer(format!("HTTP/1.1 200 OK\r\ncontent-length: {TOTAL}\r\n\r\n")).await;
        peer
    };
    let (mut peer, response) = join!(begin, get(&upstreams, &target));
    let mut response = response.expect("a response");

    let block = vec![7; 1024 * 1024];
    let mut sent = 0;
    while let Ok(written) = peer.stream.try_write(&block) {
        sent += written;
    }
    assert!(sent < TOTAL / 2, "{sent} bytes were taken though nobody read");

    let finish = async {
        let rest = vec![7; TOTAL - sent];
        peer.send(rest).await;
    };
    let consume = async {
        let mut received = 0;
        while let Some(piece) = response.body.next().await {
            let piece = piece.expect("whole");
            assert!(piece.len() <= 64 * 1024);
            received += piece.len();
        }
        assert_eq!(received, TOTAL);
    };
    join!(finish, consume);
}
