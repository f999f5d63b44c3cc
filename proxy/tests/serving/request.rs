//! What reaches the provider, and what comes back.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use penstock_proto::event::Ending;
use penstock_proto::usage::UsageSource;

use crate::support::*;

#[tokio::test]
async fn the_bytes_of_a_request_and_its_answer_pass_unchanged() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let body = "{ \"model\" : \"claude-x\",\n  \"max_tokens\":1.0, \"é\":\"\\u00e9\", \"messages\":[] }";
    let answer = proxy.post("/v1/messages?beta=true", body).await;
    let seen = provider.request().await;
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/messages?beta=true"));
    assert_eq!(seen.body, body.as_bytes());
    assert_eq!((answer.status, answer.text(), answer.whole), (200, MESSAGE, true));
    assert_eq!(answer.values("content-length"), [MESSAGE.len().to_string()]);
}

#[tokio::test]
async fn one_event_tells_everything_about_a_request() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let answer = proxy.send(post("/v1/messages", trace, ASK)).await;
    let event = proxy.event().await;
    assert_eq!(answer.values("x-penstock-request-id"), [event.id.to_string()]);
    assert_eq!((event.status, event.ending, event.stream), (200, Ending::Complete, false));
    assert_eq!(event.account.unwrap().as_str(), "default/a");
    assert_eq!((event.method.as_str(), event.path.as_str()), ("POST", "/v1/messages"));
    assert_eq!((event.model_asked.as_str(), event.model_sent.as_str()), ("claude-x", "claude-x"));
    assert_eq!(event.model_answered, "m-answered");
    assert_eq!((event.usage.input_tokens, event.usage.output_tokens), (10, 5));
    assert_eq!(event.usage_source, UsageSource::Reported);
    assert_eq!(event.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!((event.request_bytes, event.response_bytes), (ASK.len() as u64, MESSAGE.len() as u64));
    assert_eq!(event.attempts.len(), 1);
    assert_eq!((event.attempts[0].outcome.as_str(), event.attempts[0].status), ("success", 200));
    assert!(event.first_byte_at.is_some() && event.error.is_empty());
}

#[tokio::test]
async fn the_client_s_credentials_stay_here_and_the_account_s_are_put_on() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let headers = "authorization: Bearer client\r\nx-api-key: client\r\ncookie: id=1\r\n\
        proxy-authorization: Basic eA==\r\nx-penstock-session: s\r\nconnection: x-hop\r\nx-hop: 1\r\nte: trailers\r\n\
        user-agent: sdk/1\r\nanthropic-beta: one\r\nanthropic-beta: two\r\ntraceparent: 00-a-b-01\r\n";
    proxy.send(post("/v1/messages", headers, ASK)).await;
    let seen = provider.request().await;
    assert_eq!(seen.values("x-api-key"), ["sk-ant-of-a"]);
    for name in ["authorization", "cookie", "proxy-authorization", "x-penstock-session", "x-hop", "te"] {
        assert_eq!(seen.values(name), Vec::<&str>::new(), "{name}");
    }
    assert_eq!(seen.values("user-agent"), ["sdk/1"]);
    assert_eq!(seen.values("anthropic-beta"), ["one", "two"], "repeated lines survive");
    assert_eq!(seen.values("traceparent"), ["00-a-b-01"]);
    assert_eq!(seen.values("host"), [provider.address.to_string()]);
}

#[tokio::test]
async fn a_provider_s_cookies_stay_here_and_its_other_headers_pass() {
    let provider = Provider::always(|| {
        let headers = [
            ("content-type", "application/json"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("alt-svc", "h3"),
            ("request-id", "req_1"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ];
        reply(200, &headers, MESSAGE)
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let answer = proxy.post("/v1/messages", ASK).await;
    assert_eq!(answer.values("set-cookie"), Vec::<&str>::new());
    assert_eq!(answer.values("alt-svc"), Vec::<&str>::new());
    assert_eq!(answer.values("request-id"), ["req_1"]);
    assert_eq!(answer.values("x-twice"), ["1", "2"]);
    assert_eq!(answer.values("x-penstock-account"), Vec::<&str>::new(), "only on request");
}

#[tokio::test]
async fn who_served_is_told_on_request() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let answer = proxy.send(post("/v1/messages", "x-penstock-debug: true\r\n", ASK)).await;
    assert_eq!(answer.values("x-penstock-account"), ["default/a"]);
    assert_eq!(answer.values("x-penstock-attempts"), ["1"]);
    assert!(provider.request().await.values("x-penstock-debug").is_empty());
}

#[tokio::test]
async fn a_mapped_model_is_spliced_in_and_nothing_else_changes() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![mapped(account("a", &provider, 0), "claude-*", "glm-4.7")]).await;
    proxy.post("/v1/messages", r#"{"x":1.0,"model":"claude-x","messages":[]}"#).await;
    assert_eq!(provider.request().await.body, br#"{"x":1.0,"model":"glm-4.7","messages":[]}"#);
    let event = proxy.event().await;
    assert_eq!((event.model_asked.as_str(), event.model_sent.as_str()), ("claude-x", "glm-4.7"));
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A request with a compressed body.
fn compressed() -> Vec<u8> {
    let body = gzipped(ASK);
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test]
async fn a_compressed_request_passes_as_it_is_and_is_read_all_the_same() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    assert_eq!(proxy.send(compressed()).await.status, 200);
    let seen = provider.request().await;
    assert_eq!((seen.body.clone(), seen.values("content-encoding")), (gzipped(ASK), vec!["gzip"]));
    assert_eq!(proxy.event().await.model_asked, "claude-x");
}

#[tokio::test]
async fn a_compressed_request_with_a_mapped_model_is_sent_plain() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![mapped(account("a", &provider, 0), "claude-*", "glm-4.7")]).await;
    assert_eq!(proxy.send(compressed()).await.status, 200);
    let seen = provider.request().await;
    assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), ASK.replace("claude-x", "glm-4.7"));
    assert!(seen.values("content-encoding").is_empty());
}

#[tokio::test]
async fn an_unknown_content_encoding_is_refused() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let answer = proxy.send(post("/v1/messages", "content-encoding: rot13\r\n", ASK)).await;
    assert_eq!(answer.status, 415, "{}", answer.text());
    assert_eq!(proxy.event().await.status, 415);
}

#[tokio::test]
async fn a_compressed_answer_passes_as_it_is_and_is_read_all_the_same() {
    let provider = Provider::always(|| {
        reply(200, &[("content-type", "application/json"), ("content-encoding", "gzip")], gzipped(MESSAGE))
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let answer = proxy.send(post("/v1/messages", "accept-encoding: gzip\r\n", ASK)).await;
    assert_eq!((answer.body, answer.whole), (gzipped(MESSAGE), true));
    let event = proxy.event().await;
    assert_eq!((event.usage.input_tokens, event.usage_source), (10, UsageSource::Reported));
}

#[tokio::test]
async fn native_paths_lose_their_prefix_once_and_unknown_ones_pass() {
    let mut provider = Provider::always(|| json(200, "{}")).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0), openai("o", &provider)]).await;
    for (asked, sent) in [
        ("/v1/anthropic/v1/messages", "/v1/messages"),
        ("/v1/anthropic/v1/files/f1?x=1", "/v1/files/f1?x=1"),
        ("/v1/openai/chat/completions", "/v1/chat/completions"),
    ] {
        proxy.post(asked, ASK).await;
        assert_eq!(provider.request().await.target, sent);
    }
    proxy.send(get("/v1/openai/models", "")).await;
    let seen = provider.request().await;
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/v1/models"));
    assert_eq!(seen.values("authorization"), ["Bearer sk-ant-of-o"]);
}

#[tokio::test]
async fn an_answer_without_a_body_ends_at_once() {
    let provider = Provider::always(|| vec![Do::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())]).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    client.write("DELETE /v1/anthropic/v1/files/f1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.read_until("\r\n\r\n").await;
    assert!(client.unread().starts_with("HTTP/1.1 204"));
    assert_eq!(proxy.event().await.ending, Ending::Complete);
}

#[tokio::test]
async fn a_head_request_is_answered_with_the_length_and_no_body() {
    let provider = Provider::always(|| {
        vec![Do::Send(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 77\r\n\r\n".to_vec(),
        )]
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        client.write("HEAD /v1/anthropic/v1/files/f1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        client.read_until("\r\n\r\n").await;
        let answer = client.unread();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-length: 77"), "{answer}");
        client.buffer.clear();
        assert_eq!(proxy.event().await.ending, Ending::Complete);
    }
}

#[tokio::test]
async fn our_own_refusals_are_in_the_client_s_dialect_and_recorded() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let answer = proxy.post("/v1/messages", "not json").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains(r#""type":"invalid_request_error""#), "{}", answer.text());
    let event = proxy.event().await;
    assert_eq!((event.status, event.ending), (400, Ending::Error));
    assert!(!event.error.is_empty() && event.attempts.is_empty());

    let answer = proxy.post("/nowhere", "{}").await;
    assert_eq!(answer.status, 404);
    assert_eq!(proxy.event().await.status, 404);
    assert_eq!(answer.values("x-penstock-request-id").len(), 1);
}

#[tokio::test]
async fn an_address_that_is_not_loopback_asks_for_a_key() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, |config| {
        config.role = penstock_proxy::config::Role::Gateway;
    })
    .await;
    let answer = proxy.send(post("/v1/messages", "x-api-key: guessed\r\n", ASK)).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("authentication_error"), "{}", answer.text());
    let event = proxy.event().await;
    assert_eq!((event.status, event.attempts.len()), (401, 0));
}

#[tokio::test]
async fn a_websocket_is_told_to_use_http() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![openai("o", &provider)]).await;
    let handshake = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = proxy.send(get("/v1/responses", handshake)).await;
    assert_eq!(answer.status, 426);
    assert!(answer.text().contains("\"error\""), "{}", answer.text());
    assert_eq!(proxy.event().await.status, 426);
}

#[tokio::test]
async fn probes_metrics_and_state_tell_what_happened_and_no_secret() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    assert_eq!(proxy.admin("/livez").await.status, 200);
    proxy.post("/v1/messages", ASK).await;
    proxy.event().await;
    let metrics = proxy.admin("/metrics").await;
    for line in [
        "penstock_requests_total{operation=\"messages\",code=\"2xx\"} 1",
        "penstock_attempts_total{outcome=\"success\"} 1",
        "penstock_tokens_total{class=\"input\"} 10",
        "penstock_request_endings_total{ending=\"complete\"} 1",
        "penstock_account_state{account=\"default/a\",state=\"Available\"} 1",
        "penstock_first_byte_seconds_count 1",
        "penstock_open_requests 0",
        "penstock_snapshot_info{version=\"v1\"} 1",
    ] {
        assert!(metrics.text().contains(line), "{line} in {}", metrics.text());
    }
    let state = proxy.admin("/debug/state").await;
    assert!(state.text().contains("\"default/a\""), "{}", state.text());
    assert!(!state.text().contains("sk-ant") && !metrics.text().contains("sk-ant"));
}
