//! Bodies larger than what is kept to be sent again: they are sent on as they arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use penstock_proto::event::Ending;
use penstock_proto::snapshot::Account;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::*;

/// What these proxies keep, bytes.
const KEPT: usize = 64 << 10;

/// A provider that reads no faster than its test.
struct Reader {
    listener: TcpListener,
    account: Account,
}

impl Reader {
    async fn start() -> Self {
        let provider = Provider::always(Vec::new).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut account = account("a", &provider, 0);
        account.base_url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, account }
    }

    /// The connection over which something is asked: others are opened in advance, and such a body takes none of them.
    async fn accept(&self) -> Client {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let stream = accepted.unwrap().0;
                    open.spawn(async move { stream.peek(&mut [0]).await.is_ok_and(|read| read > 0).then_some(stream) });
                }
                Some(stream) = open.join_next() => {
                    if let Some(stream) = stream.unwrap() {
                        return Client { stream, buffer: Vec::new() };
                    }
                }
            }
        }
    }

    /// A proxy in front of it, that keeps little.
    async fn proxy(&self) -> Proxy {
        serving(vec![self.account.clone()]).await
    }
}

async fn serving(accounts: Vec<Account>) -> Proxy {
    let pool = pool(&accounts);
    Proxy::start_with(accounts, pool, |config| {
        config.max_body = 256 << 20;
        config.bounds.replay = KEPT as u64;
    })
    .await
}

/// A request of about `size` bytes.
fn large(size: usize) -> String {
    format!(
        r#"{{"model":"claude-x","messages":[{{"role":"user","content":"{}"}}],"max_tokens":9}}"#,
        "0123456789".repeat(size / 10)
    )
}

fn head(framing: &str) -> String {
    format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n")
}

#[tokio::test]
async fn a_large_body_arrives_as_it_was_sent_with_its_length_or_in_chunks() {
    let reader = Reader::start().await;
    let proxy = serving(vec![mapped(reader.account.clone(), "claude-*", "another-model")]).await;
    let body = large(3 << 20);
    let expected = body.replace("claude-x", "another-model");
    let counted = format!("{}{body}", head(&format!("content-length: {}", body.len())));
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for request in [counted, format!("{}{chunks}", head("transfer-encoding: chunked"))] {
        let mut client = proxy.client().await;
        let script = async {
            let mut peer = reader.accept().await;
            let sent = peer.request().await;
            assert_eq!(sent.body, expected.as_bytes());
            peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{MESSAGE}", MESSAGE.len()))
                .await;
            sent
        };
        let (sent, ()) = tokio::join!(script, client.write(&request));
        let by_length = request.contains("content-length:");
        assert_eq!(sent.values("content-length").is_empty(), !by_length);
        assert_eq!(sent.values("transfer-encoding").is_empty(), by_length);
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (200, MESSAGE));
        let event = proxy.event().await;
        assert_eq!((event.ending, event.request_bytes), (Ending::Complete, body.len() as u64));
    }
}

#[tokio::test]
async fn a_provider_that_reads_slowly_slows_the_client_and_nothing_piles_up() {
    /// All sockets' buffers on the way, and what the proxy keeps.
    const ON_THE_WAY: usize = 48 << 20;
    const SIZE: usize = 200 << 20;
    let reader = Reader::start().await;
    let proxy = reader.proxy().await;
    let mut client = proxy.client().await;
    let written = Arc::new(AtomicUsize::new(0));
    let mut writing = JoinSet::new();
    let count = Arc::clone(&written);
    writing.spawn(async move {
        client.write(head(&format!("content-length: {SIZE}"))).await;
        client.write(r#"{"model":"claude-x","x":""#).await;
        let piece = vec![b'x'; 1 << 20];
        while count.load(Ordering::Relaxed) < SIZE - 27 {
            let left = SIZE - 27 - count.load(Ordering::Relaxed);
            client.write(&piece[..left.min(piece.len())]).await;
            count.fetch_add(left.min(piece.len()), Ordering::Relaxed);
        }
        client.write("\"}").await;
        client.answer().await.status
    });
    let mut peer = reader.accept().await;
    peer.read_until("\r\n\r\n").await;
    let mut read = peer.buffer.len();
    while read < SIZE {
        peer.buffer.clear();
        assert!(peer.more().await);
        read += peer.buffer.len();
        let on_the_way = written.load(Ordering::Relaxed).saturating_sub(read);
        assert!(on_the_way < ON_THE_WAY, "{on_the_way} bytes were taken from the client and not passed on");
    }
    // The head came on top.
    while !peer.buffer.ends_with(b"\"}") {
        assert!(peer.more().await);
    }
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    assert_eq!(writing.join_next().await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_takes_its_provider_s_connection_along() {
    let reader = Reader::start().await;
    let proxy = reader.proxy().await;
    let mut client = proxy.client().await;
    client.write(head("content-length: 9000000")).await;
    client.write(&large(1 << 20)[..1 << 20]).await;
    let mut peer = reader.accept().await;
    peer.read_until("0123456789").await;
    drop(client);
    peer.read_to_end().await;
    let event = proxy.event().await;
    assert_eq!((event.ending, event.request_bytes), (Ending::Error, 1 << 20));
    // The account did nothing wrong.
    assert_eq!(event.attempts[0].outcome, "client_left");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_reaches_the_client() {
    for (status, expected) in [("413 Too Large", 413), ("429 Too Many", 429), ("200 OK", 200)] {
        let reader = Reader::start().await;
        let proxy = reader.proxy().await;
        let mut client = proxy.client().await;
        client.write(head("content-length: 90000000")).await;
        client.write(&large(KEPT)).await;
        let mut peer = reader.accept().await;
        peer.read_until("\r\n\r\n").await;
        peer.write(format!("HTTP/1.1 {status}\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{{}}")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, expected, "{}", answer.text());
        assert_eq!(proxy.event().await.attempts.len(), 1);
        // Nobody waits for the rest.
        client.read_to_end().await;
        peer.read_to_end().await;
    }
}

#[tokio::test]
async fn an_upload_goes_on_while_its_answer_arrives() {
    let reader = Reader::start().await;
    let proxy = reader.proxy().await;
    let body = large(2 << 20);
    let (mut client, (first, rest)) = (proxy.client().await, body.split_at(1 << 20));
    client.write(head(&format!("content-length: {}", body.len()))).await;
    client.write(first).await;
    let mut peer = reader.accept().await;
    peer.read_until("\r\n\r\n").await;
    peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{", MESSAGE.len())).await;
    client.read_until("\r\n\r\n{").await;
    client.write(rest).await;
    let sent = peer.request().await;
    assert_eq!(sent.body, body.as_bytes());
    peer.write(&MESSAGE[1..]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (200, MESSAGE));
}

#[tokio::test]
async fn another_account_is_asked_only_while_nothing_was_sent() {
    let reader = Reader::start().await;
    let nowhere = Nowhere::new();
    let mut unreachable = reader.account.clone();
    (unreachable.id, unreachable.priority) = ("default/unreachable".parse().unwrap(), 0);
    unreachable.base_url = format!("http://{}", nowhere.address);
    let mut second = reader.account.clone();
    second.priority = 1;
    let proxy = serving(vec![unreachable, second]).await;
    let body = large(1 << 20);
    let mut client = proxy.client().await;
    let script = async {
        let mut peer = reader.accept().await;
        assert_eq!(peer.request().await.body, body.as_bytes());
        peer.stream.shutdown().await.unwrap();
    };
    let request = format!("{}{body}", head(&format!("content-length: {}", body.len())));
    tokio::join!(script, client.write(&request));
    let answer = client.answer().await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let outcomes = proxy.event().await.attempts;
    assert_eq!(
        outcomes.iter().map(|one| one.account.as_str()).collect::<Vec<_>>(),
        ["default/unreachable", "default/a"]
    );
}

#[tokio::test]
async fn a_model_beyond_what_is_kept_is_found_all_the_same() {
    let reader = Reader::start().await;
    let proxy = serving(vec![mapped(reader.account.clone(), "claude-*", "another-model")]).await;
    let body = format!(r#"{{"messages":"{}","model":"claude-x"}}"#, "x".repeat(1 << 20));
    let mut client = proxy.client().await;
    let script = async {
        let mut peer = reader.accept().await;
        assert!(peer.request().await.body.ends_with(br#""model":"another-model"}"#));
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    };
    let request = format!("{}{body}", head(&format!("content-length: {}", body.len())));
    tokio::join!(script, client.write(&request));
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_body_that_must_not_be_sent_to_its_end_is_not() {
    let filler = "x".repeat(2 * KEPT);
    let twice = format!(r#"{{"model":"claude-x","messages":"{filler}","model":"claude-y"}}"#);
    let too_large = format!(r#"{{"model":"claude-x","messages":"{}"}}"#, filler.repeat(4));
    for (body, status) in [(twice, 400), (too_large, 413)] {
        let reader = Reader::start().await;
        let accounts = vec![reader.account.clone()];
        let pool = pool(&accounts);
        let proxy = Proxy::start_with(accounts, pool, |config| {
            config.max_body = 4 * KEPT as u64;
            config.bounds.replay = KEPT as u64;
        })
        .await;
        let mut client = proxy.client().await;
        client.write(format!("{}{:x}\r\n{body}\r\n", head("transfer-encoding: chunked"), body.len())).await;
        let mut peer = reader.accept().await;
        let sent = peer.read_to_end().await;
        assert!(!sent.ends_with("0\r\n\r\n"), "the body must not look whole");
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(proxy.event().await.attempts[0].outcome, "client_left");
    }
}
