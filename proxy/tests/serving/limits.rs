//! What clients may not do, on raw sockets.

use std::time::Duration;

use penstock_proto::event::Ending;

use crate::support::*;

async fn serving() -> (Provider, Proxy) {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    (provider, proxy)
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_reaches_no_provider() {
    let (provider, proxy) = serving().await;
    for framing in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: -1\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 0x5\r\n",
        "content-length : 5\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "x-folded: a\r\n b\r\ncontent-length: 5\r\n",
    ] {
        let mut client = proxy.client().await;
        client.write(format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{framing}\r\nhello")).await;
        let answer = client.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{framing:?}: {answer}");
    }
    let mut client = proxy.client().await;
    client
        .write("POST /v1/messages HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .await;
    assert!(client.read_to_end().await.contains(" 400 "));
    assert_eq!(provider.waiting(), 0);
}

#[tokio::test]
async fn a_second_length_cannot_smuggle_a_second_request() {
    let (provider, proxy) = serving().await;
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let mut client = proxy.client().await;
        let body = format!("{:x}\r\n{ASK}\r\n0\r\n\r\n", ASK.len());
        let smuggled = get("/v1/models", "");
        client.write(format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{framing}\r\n{body}{smuggled}")).await;
        let answers = client.read_to_end().await;
        assert!(answers.starts_with("HTTP/1.1 400"), "{framing:?}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "the connection ends: {answers}");
        assert_eq!(provider.waiting(), 0);
    }
}

#[tokio::test]
async fn a_broken_chunk_is_refused_and_reaches_no_provider() {
    let (provider, proxy) = serving().await;
    for chunk in ["zz\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n", "5hello\r\n", "ffffffffffffffffff\r\nhello"]
    {
        let mut client = proxy.client().await;
        client
            .write(format!(
                "POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
            ))
            .await;
        let answer = client.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{chunk:?}: {answer}");
        assert_eq!(proxy.event().await.status, 400);
    }
    assert_eq!(provider.waiting(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (provider, proxy) = serving().await;
    let mut client = proxy.client().await;
    client.write(get("/v1/models", &format!("x-large: {}\r\n", "a".repeat(70 << 10)))).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 431"));
    let mut client = proxy.client().await;
    client.write(get("/v1/models", &"x: 1\r\n".repeat(200))).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 431"));
    assert_eq!(provider.waiting(), 0);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_the_client_s_dialect() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| config.max_body = 1_000).await;
    let large = format!("{{\"x\":\"{}\"}}", "a".repeat(5_000));
    let answer = proxy.post("/v1/messages", &large).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("request_too_large"), "{}", answer.text());
    let event = proxy.event().await;
    assert_eq!((event.status, event.ending), (413, Ending::Error));

    let mut client = proxy.client().await;
    let chunks = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    client
        .write(format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"))
        .await;
    assert_eq!(client.answer().await.status, 413);
    assert_eq!(proxy.event().await.status, 413);
    assert_eq!(provider.waiting(), 0);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_asked_for() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| config.max_body = 1_000).await;
    let head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n";
    let answer = proxy.send(format!("{head}content-length: 5000\r\n\r\n")).await;
    assert_eq!(answer.status, 413);
    let mut client = proxy.client().await;
    client.write(format!("{head}content-length: {}\r\n\r\n", ASK.len())).await;
    client.read_until("100 Continue\r\n\r\n").await;
    client.buffer.clear();
    client.write(ASK).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_stalls_is_cut_off_and_only_the_gaps_count() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| {
        config.bounds.idle_timeout = Duration::from_millis(150);
        config.bounds.head_timeout = Duration::from_millis(150);
        config.bounds.body_progress = Duration::from_millis(150);
    })
    .await;
    for begun in ["", "P", "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-slow"] {
        let mut client = proxy.client().await;
        client.write(begun).await;
        client.read_to_end().await;
    }
    let mut client = proxy.client().await;
    client.write("POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(proxy.event().await.status, 504);
}

#[tokio::test]
async fn several_workers_share_the_port() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| config.workers = 3).await;
    for _ in 0..20 {
        assert_eq!(proxy.post("/v1/messages", ASK).await.status, 200);
    }
    assert_eq!(proxy.events(20).await.len(), 20);
}
