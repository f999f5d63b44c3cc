//! HTTP/2: sharing, back-pressure, cancelling, sending again.

use bytes::Bytes;
use futures_util::future::{join, join_all};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::net::TcpStream;

use super::secure::{identity, secure_target};
use super::server::{Peer, Server, get, post, read, text, upstreams};
use crate::upstream::{Target, UpstreamError, Versions};

type Asked = (Request<RecvStream>, SendResponse<Bytes>);

fn prior_knowledge(server: &Server) -> Target {
    server.target().with_versions(Versions::Http2)
}

async fn accept(server: &Server) -> Connection<TcpStream, Bytes> {
    h2::server::handshake(server.accept().await.stream).await.expect("HTTP/2")
}

async fn asked(connection: &mut Connection<TcpStream, Bytes>) -> Asked {
    connection.accept().await.expect("open").expect("a request")
}

fn answer(respond: &mut SendResponse<Bytes>, body: &'static str) {
    let mut stream = respond.send_response(Response::new(()), false).expect("open");
    stream.send_data(Bytes::from(body), true).expect("open");
}

/// Keeps the connection going until the client closes it.
async fn drive(mut connection: Connection<TcpStream, Bytes>) {
    while connection.accept().await.is_some() {}
}

#[tokio::test]
async fn requests_that_start_together_share_one_connection() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = prior_knowledge(&server);
    let script = async {
        let mut connection = accept(&server).await;
        let mut waiting = Vec::new();
        for _ in 0..8 {
            waiting.push(asked(&mut connection).await);
        }
        for (_, respond) in &mut waiting {
            answer(respond, "ok");
        }
        drive(connection).await;
    };
    let client = async {
        let answers = (0..8).map(|_| async { text(get(&upstreams, &target).await).await });
        assert_eq!(join_all(answers).await, ["ok"; 8]);
        assert_eq!(upstreams.counts().opened, 1);
    };
    tokio::select! {
        () = script => panic!("the connection was closed"),
        () = client => {}
    }
}

#[tokio::test]
async fn requests_arrive_as_sent_without_the_fields_of_one_leg() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = prior_knowledge(&server);
    let script = async {
        let mut connection = accept(&server).await;
        let (request, mut respond) = asked(&mut connection).await;
        assert_eq!(request.uri().path(), "/v1/messages");
        assert_eq!(request.uri().authority().expect("given").as_str(), target.authority().as_str());
        assert_eq!(request.headers()["content-length"], "6");
        assert!(!request.headers().contains_key("host"));
        let mut body = request.into_body();
        let reading = async {
            let mut all = Vec::new();
            while let Some(data) = body.data().await {
                all.extend_from_slice(&data.expect("whole"));
            }
            assert_eq!(all, b"abcdef");
            answer(&mut respond, "ok");
        };
        join(reading, drive(connection)).await;
    };
    let client = async {
        let segments = [Bytes::from("abc"), Bytes::from("def")];
        assert_eq!(text(post(&upstreams, &target, &segments).await).await, "ok");
    };
    tokio::select! {
        () = script => panic!("the connection was closed"),
        () = client => {}
    }
}

#[tokio::test]
async fn the_protocol_is_what_tls_agrees_on() {
    let (server, upstreams, identity) = (Server::start().await, upstreams(), identity(&[b"h2", b"http/1.1"]));
    let target = secure_target(&server, &identity);
    let script = async {
        let stream = server.accept().await.stream;
        let stream = identity.acceptor.accept(stream).await.expect("a handshake");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(asked) = connection.accept().await {
            answer(&mut asked.expect("a request").1, "ok");
        }
    };
    let client = async {
        assert_eq!(text(get(&upstreams, &target).await).await, "ok");
        assert_eq!(text(get(&upstreams, &target).await).await, "ok");
        assert_eq!(upstreams.counts().opened, 1);
    };
    tokio::select! {
        () = script => panic!("the connection was closed"),
        () = client => {}
    }
}

#[tokio::test]
async fn leaving_resets_the_stream_and_keeps_the_connection() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = prior_knowledge(&server);
    let script = async {
        let mut connection = accept(&server).await;
        let (_request, mut respond) = asked(&mut connection).await;
        let mut stream = respond.send_response(Response::new(()), false).expect("open");
        stream.send_data(Bytes::from("abc"), false).expect("open");
        let reset = std::future::poll_fn(|cx| stream.poll_reset(cx));
        tokio::select! {
            reason = reset => assert_eq!(reason.expect("a reset"), Reason::CANCEL),
            _ = std::future::poll_fn(|cx| connection.poll_closed(cx)) => panic!("the connection was closed"),
        }
        answer(&mut asked(&mut connection).await.1, "ok");
        drive(connection).await;
    };
    let client = async {
        let mut response = get(&upstreams, &target).await.expect("a response");
        response.body.next().await.expect("a piece").expect("whole");
        drop(response);
        assert_eq!(text(get(&upstreams, &target).await).await, "ok");
    };
    tokio::select! {
        () = script => panic!("the connection was closed"),
        () = client => {}
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_and_not_an_end() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = prior_knowledge(&server);
    let script = async {
        let mut connection = accept(&server).await;
        let (_request, mut respond) = asked(&mut connection).await;
        let mut stream = respond.send_response(Response::new(()), false).expect("open");
        stream.send_data(Bytes::from("abc"), false).expect("open");
        stream.send_reset(Reason::INTERNAL_ERROR);
        drive(connection).await;
    };
    let client = async {
        let ended = match get(&upstreams, &target).await {
            Ok(mut response) => read(&mut response.body).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(ended, Err(UpstreamError::Http2(_))));
    };
    tokio::select! {
        () = script => panic!("the connection was closed"),
        () = client => {}
    }
}

#[tokio::test]
async fn a_request_that_was_not_processed_is_sent_once_more() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = prior_knowledge(&server);
    let script = async {
        let mut connection = accept(&server).await;
        answer(&mut asked(&mut connection).await.1, "first");
        asked(&mut connection).await.1.send_reset(Reason::REFUSED_STREAM);
        let again = async {
            let mut other = accept(&server).await;
            answer(&mut asked(&mut other).await.1, "second");
            drive(other).await;
        };
        join(drive(connection), again).await;
    };
    let client = async {
        assert_eq!(text(get(&upstreams, &target).await).await, "first");
        assert_eq!(text(get(&upstreams, &target).await).await, "second");
        assert_eq!(upstreams.counts().stale, 1);
    };
    tokio::select! {
        () = script => panic!("the connection was closed"),
        () = client => {}
    }
}

/// Reads frames until one of a request's head.
async fn until_headers(peer: &mut Peer) {
    const HEADERS: u8 = 1;
    loop {
        let frame = peer.bytes(9).await;
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
        peer.bytes(length as usize).await;
        if frame[3] == HEADERS {
            return;
        }
    }
}

#[tokio::test]
async fn a_request_that_crossed_a_goaway_is_sent_once_more() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let target = prior_knowledge(&server);
    let script = async {
        let mut leaving = server.accept().await;
        leaving.bytes(24).await;
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        leaving.send(settings).await;
        until_headers(&mut leaving).await;
        let status_200_on_stream_1 = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88];
        leaving.send(status_200_on_stream_1).await;
        until_headers(&mut leaving).await;
        let goaway_after_stream_1 = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        leaving.send(goaway_after_stream_1).await;
        let mut other = accept(&server).await;
        answer(&mut asked(&mut other).await.1, "second");
        drive(other).await;
    };
    let client = async {
        assert_eq!(text(get(&upstreams, &target).await).await, "");
        assert_eq!(text(get(&upstreams, &target).await).await, "second");
        assert_eq!(upstreams.counts().stale, 1);
    };
    tokio::select! {
        () = script => panic!("the connection was closed"),
        () = client => {}
    }
}
