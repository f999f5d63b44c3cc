//! HTTP/1.1 with clients, byte by byte.

use std::time::Duration;

use penstock_proto::event::Ending;
use tokio::io::AsyncWriteExt;

use crate::support::*;

async fn serving() -> (Provider, Proxy) {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    (provider, proxy)
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_one_after_the_other() {
    let (mut provider, proxy) = serving().await;
    let mut client = proxy.client().await;
    let requests: String = (0..5).map(|n| post("/v1/messages", &format!("x-number: {n}\r\n"), ASK)).collect();
    client.write(requests).await;
    for number in 0..5 {
        assert_eq!(client.answer().await.text(), MESSAGE);
        assert_eq!(provider.request().await.values("x-number"), [number.to_string()]);
    }
    assert_eq!(proxy.events(5).await.len(), 5);
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_as_good_as_any() {
    let (mut provider, proxy) = serving().await;
    for chunked in [false, true] {
        let request = if chunked {
            let (begin, end) = ASK.split_at(10);
            format!(
                "POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                 a;x=y\r\n{begin}\r\n{:x}\r\n{end}\r\n0\r\nx-trailer: 1\r\n\r\n",
                end.len()
            )
        } else {
            post("/v1/messages", "", ASK)
        };
        let mut client = proxy.client().await;
        client.stream.set_nodelay(true).unwrap();
        for byte in request.as_bytes() {
            client.write([*byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.answer().await.text(), MESSAGE);
        let seen = provider.request().await;
        assert_eq!(seen.body, ASK.as_bytes());
        assert!(seen.values("x-trailer").is_empty(), "trailers are dropped");
        client.write(post("/v1/messages", "", ASK)).await;
        assert_eq!(client.answer().await.status, 200, "the connection serves the next request");
        assert_eq!(provider.request().await.body, ASK.as_bytes());
    }
}

#[tokio::test]
async fn an_old_client_gets_an_answer_it_understands() {
    let provider = Provider::start(|seen| {
        if seen.values("x-stream").is_empty() {
            json(200, MESSAGE)
        } else {
            vec![chunked(), chunk(START), chunk(TEXT), chunk(END), chunk("")]
        }
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let old = |headers: &str, body: &str| post("/v1/messages", headers, body).replace("HTTP/1.1", "HTTP/1.0");

    let mut client = proxy.client().await;
    client.write(old("connection: keep-alive\r\n", ASK)).await;
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.values("connection")), (MESSAGE, vec!["keep-alive"]));
    client.write(old("x-stream: 1\r\nconnection: keep-alive\r\n", ASK_STREAM)).await;
    let text = client.read_to_end().await;
    assert!(text.contains("connection: close\r\n") && !text.contains("transfer-encoding"), "{text}");
    assert!(text.ends_with(&[START, TEXT, END].concat()), "{text}");

    let mut client = proxy.client().await;
    client.write(old("", ASK)).await;
    let text = client.read_to_end().await;
    assert!(text.contains("connection: close\r\n") && text.ends_with(MESSAGE), "{text}");
    assert_eq!(proxy.events(3).await.len(), 3);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole_to_an_old_client() {
    let provider = Provider::always(|| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        vec![Do::Send(head.into()), chunk(&MESSAGE[..40]), Do::Close]
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK).replace("HTTP/1.1", "HTTP/1.0")).await;
    let mut read = [0; 1024];
    let error = loop {
        match tokio::io::AsyncReadExt::read(&mut client.stream, &mut read).await {
            Ok(0) => panic!("the end of the connection looks like the end of the answer"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(proxy.event().await.ending, Ending::Truncated);
}

#[tokio::test]
async fn a_client_that_asks_for_the_end_gets_it_after_its_answer() {
    let (_provider, proxy) = serving().await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "connection: close\r\n", ASK)).await;
    let text = client.read_to_end().await;
    assert!(text.contains("connection: close\r\n") && text.ends_with(MESSAGE), "{text}");
}

#[tokio::test]
async fn a_body_that_is_refused_unread_ends_the_connection_but_not_before_the_answer_is_read() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| {
        config.role = penstock_proxy::config::Role::Gateway;
    })
    .await;
    let mut client = proxy.client().await;
    client.write("POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n").await;
    // The client writes on while it is answered.
    let _ = client.stream.write_all(&vec![b'x'; 3_000_000]).await;
    let text = client.read_to_end().await;
    assert!(text.starts_with("HTTP/1.1 401 ") && text.contains("connection: close\r\n"), "{text}");
    assert_eq!(proxy.event().await.status, 401);
}

#[tokio::test]
async fn a_head_that_has_begun_has_less_time_than_an_idle_connection() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| {
        config.bounds.head_timeout = Duration::from_millis(100);
    })
    .await;
    let mut idle = proxy.client().await;
    idle.write(post("/v1/messages", "", ASK)).await;
    assert_eq!(idle.answer().await.status, 200);
    let mut slow = proxy.client().await;
    slow.write("POST /v1/messages HTTP/1.1\r\nhost").await;
    assert!(slow.read_to_end().await.starts_with("HTTP/1.1 408 "));
    // The idle one has outlived the limit, too.
    idle.write(post("/v1/messages", "", ASK)).await;
    assert_eq!(idle.answer().await.status, 200);
}

#[tokio::test]
async fn a_running_answer_is_finished_and_its_connection_ended_when_draining() {
    let wait = std::sync::Arc::new(tokio::sync::Notify::new());
    let held = std::sync::Arc::clone(&wait);
    let mut provider = Provider::start(move |_| {
        [vec![Do::Wait(std::sync::Arc::clone(&held))], json(200, MESSAGE)].into_iter().flatten().collect()
    })
    .await;
    let mut proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK)).await;
    provider.request().await;
    proxy.shutdown.drain.cancel();
    wait.notify_one();
    let text = client.read_to_end().await;
    assert!(text.contains("connection: close\r\n") && text.ends_with(MESSAGE), "{text}");
    proxy.ended().await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_may_bring_one_more_request_while_a_gateway_drains() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let mut proxy = Proxy::start_with(accounts, pool, |config| {
        config.bounds.drain_idle = Duration::from_secs(600);
    })
    .await;
    let mut idle = proxy.client().await;
    idle.write(post("/v1/messages", "", ASK)).await;
    assert_eq!(idle.answer().await.status, 200);
    proxy.shutdown.drain.cancel();
    idle.write(post("/v1/messages", "", ASK)).await;
    let text = idle.read_to_end().await;
    assert!(text.contains("connection: close\r\n") && text.ends_with(MESSAGE), "{text}");
    proxy.ended().await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_after_it_sent_a_next_request_is_seen_to_leave() {
    let mut provider = Provider::always(|| vec![Do::WaitForClose]).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK)).await;
    let seen = provider.request().await;
    client.write(post("/v1/messages", "", ASK)).await;
    drop(client);
    seen.gone.unwrap().await.expect("the provider's connection is closed");
    assert_eq!(proxy.event().await.ending, Ending::ClientLeft);
    assert_eq!(provider.waiting(), 0);
}

#[tokio::test]
async fn a_large_body_arrives_unchanged_however_it_is_framed() {
    let (mut provider, proxy) = serving().await;
    let body = format!("{{\"model\":\"claude-x\",\"x\":\"{}\"}}", "0123456789".repeat(300_000));
    assert_eq!(proxy.post("/v1/messages", &body).await.status, 200);
    assert!(provider.request().await.body == body.as_bytes());
    let mut chunks =
        String::from("POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(70_001) {
        chunks.push_str(&format!("{:X}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
    }
    chunks.push_str("0\r\n\r\n");
    assert_eq!(proxy.send(chunks).await.status, 200);
    assert!(provider.request().await.body == body.as_bytes());
}
