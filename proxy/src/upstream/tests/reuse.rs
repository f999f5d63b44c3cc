//! Which connections are kept, which are not, and when a request is sent again.

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Full};
use penstock_proto::snapshot::Egress;
use tokio::join;

use super::server::{PATIENT, Server, get, post, send, text, upstreams};
use crate::upstream::{Counts, RequestBody, Target, UpstreamError, Upstreams};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Waits until the client's side has seen what the server did to the idle connections.
async fn until_none_is_kept(upstreams: &Upstreams, server: &Server) {
    while upstreams.pool.ready(server.target().origin()) > 0 {
        upstreams.sweep();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let script = async {
        let mut peer = server.accept().await;
        for body in ["5\r\nfirst\r\n0\r\n\r\n", "6\r\nsecond\r\n0\r\nx-trailer: 1\r\n\r\n"] {
            peer.answer(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}")).await;
        }
        peer.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
        peer.answer(OK).await;
    };
    let client = async {
        for body in ["first", "second", "", "ok"] {
            assert_eq!(text(get(&upstreams, &target).await).await, body);
        }
    };
    join!(script, client);
    assert_eq!(upstreams.counts(), Counts { opened: 1, reused: 3, stale: 0 });
}

#[tokio::test]
async fn targets_that_differ_in_their_path_share_connections() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let other = Target::parse(&format!("{}/zen/", server.url()), &Egress::default()).expect("valid");
    let script = async {
        let mut peer = server.accept().await;
        peer.answer(OK).await;
        assert!(peer.head().await.starts_with("GET /zen/v1/messages HTTP/1.1\r\n"));
        peer.send(OK).await;
    };
    let client = async {
        text(get(&upstreams, &server.target()).await).await;
        text(get(&upstreams, &other).await).await;
    };
    join!(script, client);
}

#[tokio::test]
async fn a_connection_that_may_not_be_kept_is_closed() {
    let responses = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
    ];
    for response in responses {
        let (server, upstreams) = (Server::start().await, upstreams());
        let script = async {
            let mut peer = server.accept().await;
            peer.answer(response).await;
            peer.is_closed().await;
        };
        let target = server.target();
        let client = async { assert_eq!(text(get(&upstreams, &target).await).await, "ok") };
        join!(script, client);
    }
}

#[tokio::test]
async fn a_request_on_a_connection_closed_meanwhile_is_sent_once_more() {
    for hard in [false, true] {
        let (server, upstreams) = (Server::start().await, upstreams());
        let (target, body) = (server.target(), [Bytes::from("question")]);
        let script = async {
            let mut stale = server.accept().await;
            stale.answer(OK).await;
            stale.head().await;
            if hard {
                stale.reset();
            } else {
                drop(stale);
            }
            let mut fresh = server.accept().await;
            assert!(fresh.head().await.contains("content-length: 8\r\n"));
            assert_eq!(fresh.bytes(8).await, b"question");
            fresh.send(OK).await;
        };
        let client = async {
            text(get(&upstreams, &target).await).await;
            assert_eq!(text(post(&upstreams, &target, &body).await).await, "ok");
        };
        join!(script, client);
        assert_eq!(upstreams.counts(), Counts { opened: 2, reused: 1, stale: 1 });
    }
}

#[tokio::test]
async fn a_request_on_a_new_connection_is_never_sent_twice() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let script = async { server.accept().await.head().await };
    let client = async {
        assert!(matches!(post(&upstreams, &target, &[]).await, Err(UpstreamError::Closed)));
    };
    join!(script, client);
    assert_eq!(upstreams.counts(), Counts { opened: 1, reused: 0, stale: 0 });
}

#[tokio::test]
async fn a_request_that_was_answered_in_part_is_never_sent_twice() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let script = async {
        let mut peer = server.accept().await;
        peer.answer(OK).await;
        peer.answer("HTTP/1.1 100 Continue\r\n\r\n").await;
    };
    let client = async {
        text(get(&upstreams, &target).await).await;
        assert!(matches!(post(&upstreams, &target, &[]).await, Err(UpstreamError::Truncated)));
    };
    join!(script, client);
    assert_eq!(upstreams.counts().stale, 0);
}

#[tokio::test]
async fn a_body_that_cannot_be_sent_again_gets_a_new_connection() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let script = async {
        let mut idle = server.accept().await;
        idle.answer(OK).await;
        let mut fresh = server.accept().await;
        assert!(fresh.head().await.contains("transfer-encoding: chunked\r\n"));
        assert_eq!(fresh.bytes(13).await, b"3\r\nabc\r\n0\r\n\r\n");
        fresh.send(OK).await;
    };
    let client = async {
        text(get(&upstreams, &target).await).await;
        let source = Box::pin(Full::new(Bytes::from("abc")).map_err(|never| match never {}));
        let body = RequestBody::Stream { length: None, source };
        assert_eq!(text(send(&upstreams, &target, Method::POST, body).await).await, "ok");
    };
    join!(script, client);
}

#[tokio::test]
async fn idle_connections_that_were_closed_or_spoken_on_are_not_used() {
    for unasked in ["", "HTTP/1.1 408 Request Timeout\r\n\r\n"] {
        let (server, upstreams) = (Server::start().await, upstreams());
        let target = server.target();
        let script = async {
            let mut peer = server.accept().await;
            peer.answer(OK).await;
            // The one that is spoken on stays open: its closing must not be what tells.
            let mut speaking = (!unasked.is_empty()).then_some(peer);
            if let Some(peer) = &mut speaking {
                peer.send(unasked).await;
            }
            server.accept().await.answer(OK).await;
        };
        let client = async {
            text(get(&upstreams, &target).await).await;
            until_none_is_kept(&upstreams, &server).await;
            assert_eq!(text(get(&upstreams, &target).await).await, "ok");
        };
        join!(script, client);
        assert_eq!(upstreams.counts(), Counts { opened: 2, reused: 0, stale: 0 });
    }
}

#[tokio::test]
async fn connections_idle_for_too_long_are_closed() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = server.target();
    let client = async {
        assert_eq!(upstreams.warm(&target, 2, PATIENT).await.expect("reachable"), 2);
        assert_eq!(upstreams.warm(&target, 2, PATIENT).await.expect("reachable"), 0);
        let later = tokio::time::Instant::now() + std::time::Duration::from_secs(56);
        upstreams.pool.sweep(later);
        assert_eq!(upstreams.pool.ready(target.origin()), 0);
    };
    client.await;
    server.accept().await.is_closed().await;
    server.accept().await.is_closed().await;
}

#[tokio::test]
async fn a_host_that_refuses_or_does_not_exist_is_reported_as_that() {
    let upstreams = upstreams();
    let target = Server::start().await.target();
    assert!(matches!(get(&upstreams, &target).await, Err(UpstreamError::Connect(_))));
    let nowhere = Target::parse("http://nowhere.invalid", &Egress::default()).expect("valid");
    assert!(matches!(get(&upstreams, &nowhere).await, Err(UpstreamError::Dns(_))));
}
