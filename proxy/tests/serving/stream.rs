//! Streams on their way: what is passed on, what is held back, and how they end.

use std::sync::Arc;
use std::time::Duration;

use penstock_proto::event::Ending;
use penstock_proto::usage::UsageSource;
use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::support::*;

#[tokio::test]
async fn a_stream_passes_event_by_event_with_its_pings_and_comments() {
    let wait = Arc::new(Notify::new());
    let held = Arc::clone(&wait);
    let provider = Provider::start(move |_| {
        vec![
            chunked(),
            chunk(START),
            chunk(PING),
            chunk(TEXT),
            Do::Wait(Arc::clone(&held)),
            chunk(": a comment\n\n"),
            chunk(PING),
            chunk(END),
            chunk(""),
        ]
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    client.read_until("text_delta").await;
    wait.notify_one();
    let answer = client.answer().await;
    assert_eq!(answer.text(), [START, PING, TEXT, ": a comment\n\n", PING, END].concat());
    assert_eq!(answer.values("content-type"), ["text/event-stream; charset=utf-8"]);
    let event = proxy.event().await;
    assert_eq!(
        (event.ending, event.stream, event.usage_source),
        (Ending::Complete, true, UsageSource::Reported)
    );
    assert_eq!((event.usage.input_tokens, event.usage.output_tokens), (10, 5));
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    wait.notify_one();
    assert_eq!(client.answer().await.status, 200, "the connection serves the next request");
}

#[tokio::test]
async fn a_stream_cut_after_it_began_ends_with_an_error_the_client_understands() {
    let endings: [fn() -> Vec<Do>; 3] = [
        || vec![chunked(), chunk(START), chunk(TEXT), Do::Close],
        || vec![chunked(), chunk(START), chunk(TEXT), Do::Reset],
        || vec![chunked(), chunk(START), chunk(TEXT), chunk("")],
    ];
    for ending in endings {
        let provider = Provider::always(ending).await;
        let mut other = Provider::always(|| json(200, MESSAGE)).await;
        let proxy = Proxy::start(vec![account("a", &provider, 0), account("b", &other, 9)]).await;
        let answer = proxy.post("/v1/messages", ASK_STREAM).await;
        let (begun, error) = answer.text().split_at([START, TEXT].concat().len());
        assert_eq!(begun, [START, TEXT].concat());
        assert!(error.starts_with("event: error\ndata: {\"type\":\"error\""), "{error}");
        assert!(!error.contains("message_stop"), "{error}");
        let event = proxy.event().await;
        assert_eq!((event.ending, event.status), (Ending::Truncated, 200));
        assert!(!event.error.is_empty());
        assert_eq!((event.usage.input_tokens, event.usage_source), (10, UsageSource::Estimated));
        assert_eq!(other.waiting(), 0, "after the beginning there is no other attempt");
        let _ = &mut other;
    }
}

#[tokio::test]
async fn an_error_event_after_the_beginning_is_the_client_s_to_see() {
    let provider =
        Provider::always(|| vec![chunked(), chunk(START), chunk(TEXT), chunk(OVERLOADED), chunk("")]).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let answer = proxy.post("/v1/messages", ASK_STREAM).await;
    assert_eq!((answer.text(), answer.whole), ([START, TEXT, OVERLOADED].concat().as_str(), true));
    let event = proxy.event().await;
    assert_eq!((event.ending, event.error.as_str()), (Ending::Error, "Overloaded"));
}

#[tokio::test]
async fn what_follows_the_last_event_does_not_count() {
    /// What the provider sends, how that is recorded, and what of it reaches the client.
    type Case = (fn() -> Vec<Do>, Ending, &'static [&'static str]);
    let endings: [Case; 2] = [
        (
            || vec![chunked(), chunk(START), chunk(TEXT), chunk(END), Do::Reset],
            Ending::Complete,
            &[START, TEXT, END],
        ),
        (
            || vec![chunked(), chunk(START), chunk(TEXT), chunk(OVERLOADED), Do::Close],
            Ending::Error,
            &[START, TEXT, OVERLOADED],
        ),
    ];
    for (ending, recorded, parts) in endings {
        let provider = Provider::always(ending).await;
        let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
        let answer = proxy.post("/v1/messages", ASK_STREAM).await;
        assert_eq!((answer.text(), answer.whole), (parts.concat().as_str(), true));
        assert_eq!(proxy.event().await.ending, recorded);
    }
}

#[tokio::test]
async fn half_an_answer_never_looks_whole() {
    let half = &MESSAGE[..MESSAGE.len() / 2];
    let headed = |head: &str, ending: Do| {
        let bytes = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n").into_bytes();
        (bytes, ending)
    };
    let with_length = format!("content-length: {}\r\n", MESSAGE.len());
    for (head, body) in [
        (headed(&with_length, Do::Close), half.to_owned()),
        (headed("connection: close\r\n", Do::Close), half.to_owned()),
        (headed("transfer-encoding: chunked\r\n", Do::Close), format!("{:x}\r\n{half}\r\n", half.len())),
        (
            headed("transfer-encoding: chunked\r\n", Do::Close),
            format!("{:x}\r\n{half}\r\n0\r\n\r\n", half.len()),
        ),
    ] {
        let bytes = [head.0, body.into_bytes()].concat();
        let provider = Provider::start(move |_| vec![Do::Send(bytes.clone()), Do::Close]).await;
        let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
        let mut client = proxy.client().await;
        client.write(post("/v1/messages", "", ASK)).await;
        // The end of the connection: before the head, or before the end of the body that it promises.
        let answer = client.read_to_end().await;
        assert!(!answer.contains("\r\n0\r\n\r\n"), "{answer:?}");
        assert!(answer.is_empty() || !answer.contains("connection: close"), "{answer:?}");
        assert!(!answer.contains(&MESSAGE[MESSAGE.len() / 2..]), "{answer:?}");
        assert_eq!(proxy.event().await.ending, Ending::Truncated);
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_it_at_the_provider_at_once() {
    let mut provider =
        Provider::always(|| vec![chunked(), chunk(START), chunk(TEXT), Do::WaitForClose]).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    client.read_until("text_delta").await;
    drop(client);
    provider.request().await.gone.unwrap().await.expect("the provider's connection is closed");
    let event = proxy.event().await;
    assert_eq!((event.ending, event.status), (Ending::ClientLeft, 200));
    assert_eq!((event.usage.input_tokens, event.usage_source), (10, UsageSource::Estimated));
    assert_eq!(event.attempts.len(), 1);
    assert_eq!(event.attempts[0].outcome, "success");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_ends_the_attempt_at_once() {
    let mut provider = Provider::always(|| vec![Do::WaitForClose]).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    let seen = provider.request().await;
    drop(client);
    seen.gone.unwrap().await.expect("the provider's connection is closed");
    let event = proxy.event().await;
    assert_eq!((event.ending, event.status, event.first_byte_at), (Ending::ClientLeft, 0, None));
    assert_eq!(event.attempts.len(), 1);
    assert_eq!(event.attempts[0].outcome, "client_left");
}

#[tokio::test]
async fn a_client_that_leaves_while_it_sends_is_recorded() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write("POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"model\"").await;
    drop(client);
    let event = proxy.event().await;
    assert_eq!((event.status, event.attempts.len()), (event.status, 0));
    assert!(matches!(event.ending, Ending::ClientLeft | Ending::Error), "{event:?}");
    assert_eq!(provider.waiting(), 0);
}

#[tokio::test]
async fn a_slow_reader_slows_its_provider() {
    let (count, mut counted) = watch::channel(0);
    let flood = move |_: &Seen| vec![chunked(), chunk(START), chunk(TEXT), Do::Flood(count.clone())];
    let provider = Provider::start(flood).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    client.read_until("text_delta").await;
    // The provider is stuck once it has sent nothing for a while; only kernel buffers were filled.
    while timeout(Duration::from_millis(300), counted.changed()).await.is_ok() {}
    let before = *counted.borrow();
    assert!(before < 32 << 20, "{before} bytes were taken for a client that reads nothing");
    client.buffer.clear();
    let mut read = 0;
    while read < before {
        client.buffer.clear();
        read += client.stream.read_buf(&mut client.buffer).await.unwrap();
    }
    drop(client);
    assert_eq!(proxy.event().await.ending, Ending::ClientLeft);
}

#[tokio::test]
async fn an_upstream_that_falls_silent_is_given_up() {
    let mut provider =
        Provider::always(|| vec![chunked(), chunk(START), chunk(TEXT), Do::WaitForClose]).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| {
        config.bounds.upstream_silence = Duration::from_millis(100);
    })
    .await;
    let answer = proxy.post("/v1/messages", ASK_STREAM).await;
    assert!(answer.text().contains("timeout_error"), "{}", answer.text());
    provider.request().await.gone.unwrap().await.expect("the provider's connection is closed");
    assert_eq!(proxy.event().await.ending, Ending::Truncated);
}

#[tokio::test]
async fn what_does_not_commit_in_time_is_sent_as_it_is() {
    let wait = Arc::new(Notify::new());
    let held = Arc::clone(&wait);
    let provider = Provider::start(move |_| {
        vec![chunked(), chunk(START), Do::Wait(Arc::clone(&held)), chunk(TEXT), chunk(END), chunk("")]
    })
    .await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| {
        config.bounds.commit_wait = Duration::from_millis(50);
    })
    .await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    client.read_until("message_start").await;
    wait.notify_one();
    assert_eq!(client.answer().await.text(), [START, TEXT, END].concat());
    assert_eq!(proxy.event().await.ending, Ending::Complete);
}

#[tokio::test]
async fn a_cut_chat_stream_ends_with_an_error_chunk_and_never_with_done() {
    const FIRST: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
    let provider = Provider::always(|| vec![chunked(), chunk(FIRST), Do::Close]).await;
    let proxy = Proxy::start(vec![openai("o", &provider)]).await;
    let body = r#"{"model":"gpt-x","stream":true,"messages":[{"role":"user","content":"hello there"}]}"#;
    let answer = proxy.post("/v1/chat/completions", body).await;
    let error = answer.text().strip_prefix(FIRST).unwrap();
    assert!(error.starts_with("data: {\"error\":"), "{error}");
    assert!(!error.contains("[DONE]"));
    let event = proxy.event().await;
    assert_eq!((event.ending, event.usage_source), (Ending::Truncated, UsageSource::Estimated));
    assert!(event.usage.input_tokens > 0, "{:?}", event.usage);
}

#[tokio::test]
async fn windows_told_in_a_stream_are_reported_while_it_still_runs() {
    const LIMITS: &str = "event: codex.rate_limits\ndata: {\"type\":\"codex.rate_limits\",\"plan_type\":\"plus\",\
        \"rate_limits\":{\"primary\":{\"used_percent\":41.5,\"window_minutes\":300,\"reset_at\":4102444800}}}\n\n";
    const BEGUN: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\
        \"response\":{\"id\":\"r\",\"model\":\"gpt-x\"}}\n\nevent: response.output_text.delta\n\
        data: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"a\"}\n\n";
    let wait = Arc::new(Notify::new());
    let held = Arc::clone(&wait);
    let script =
        move |_: &Seen| vec![chunked(), chunk(LIMITS), chunk(BEGUN), Do::Wait(Arc::clone(&held)), Do::Close];
    let provider = Provider::start(script).await;
    let proxy = Proxy::start(vec![openai("a", &provider)]).await;
    let mut client = proxy.client().await;
    let ask = r#"{"model":"gpt-x","input":"hi","stream":true}"#;
    client.write(post("/v1/responses", "", ask)).await;
    client.read_until("output_text.delta").await;
    let told = proxy.observations.take().await;
    let windows: Vec<_> = told.iter().flat_map(|told| &told.windows).collect();
    let [(name, window)] = windows[..] else { panic!("{told:?}") };
    assert_eq!((told[0].account.as_str(), name.as_str()), ("default/a", "five_hour"));
    assert_eq!(window.resets_at.map(jiff::Timestamp::as_second), Some(4_102_444_800));
    assert!((window.utilization - 41.5).abs() < f64::EPSILON);
    wait.notify_one();
}
