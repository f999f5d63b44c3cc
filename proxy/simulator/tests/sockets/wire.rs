//! Each provider's grammar, ids and numbers.

use http::{Method, Version};
use penstock_simulator::Config;
use serde_json::{Value, json};

use crate::client::{Answer, Bench};

const KEY: &str = "sk-one";

async fn bench() -> Bench {
    Bench::start(Config { thinking: true, ..Config::default() }).await
}

fn names(answer: &Answer) -> Vec<String> {
    let mut names: Vec<_> = answer.events().into_iter().map(|(name, _)| name).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_message_streams_in_anthropics_grammar() {
    let bench = bench().await;
    let answer = bench.message(KEY, true).await.unwrap();
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert!(answer.header("request-id").unwrap().starts_with("req_011C"));
    assert_eq!(
        names(&answer),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let events = answer.events();
    assert_eq!(events.len(), 56);
    assert!(events.iter().all(|(name, data)| data["type"] == **name));
    let text: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert!(text.starts_with("You said: hi.") && text.ends_with("That is all."));
    let usage = &events[0].1["message"]["usage"];
    assert_eq!(usage["input_tokens"], bench.simulator.state().journal.body(1).unwrap().len().div_ceil(4));
    let spent = &events[54].1["usage"]["output_tokens"];
    assert_eq!(spent.as_u64(), Some((text.len() as u64).div_ceil(4)));
}

#[tokio::test]
async fn a_tool_is_used_in_every_dialect() {
    let bench = bench().await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let say = "use the tool look with {\"city\": \"Köln\"}";
    let arguments = "{\"city\": \"Köln\"}";

    let body = json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": say}],
        "tools": [{"name": "look", "input_schema": schema}]});
    let headers = [("authorization", "Bearer sk-one"), ("anthropic-version", "2026-10-21")];
    let answer = bench.send(Method::POST, "/v1/messages", &headers, &body.to_string()).await.unwrap();
    let events = answer.events();
    let json: String = events.iter().filter_map(|(_, data)| data["delta"]["partial_json"].as_str()).collect();
    assert_eq!(json, arguments);
    assert!(events.iter().any(|(_, data)| data["delta"]["stop_reason"] == "tool_use"));

    let tool = json!({"type": "function", "function": {"name": "look", "parameters": schema}});
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": say}], "tools": [tool]});
    let answer = bench.post("/openai/v1/chat/completions", KEY, &body.to_string()).await;
    let calls: Vec<Value> = answer
        .events()
        .iter()
        .filter_map(|(_, data)| data["choices"][0]["delta"]["tool_calls"].get(0).cloned())
        .collect();
    assert_eq!(calls[0]["function"]["name"], "look");
    assert!(calls[1..].iter().all(|call| call.get("id").is_none()), "the id comes once");
    let json: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(json, arguments);

    let tool = json!({"type": "function", "name": "look", "parameters": schema});
    let body = json!({"model": "m", "stream": true, "input": say, "tools": [tool]});
    let answer = bench.post("/v1/responses", KEY, &body.to_string()).await;
    let done = answer.events().pop().unwrap().1;
    assert_eq!(done["response"]["output"][0]["arguments"], arguments);
}

#[tokio::test]
async fn a_completion_streams_usage_only_when_asked() {
    let bench = bench().await;
    let body = r#"{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hi"}],"stream_options":{"include_usage":true}}"#;
    let answer = bench.post("/openai/v1/chat/completions", KEY, body).await;
    let events = answer.events();
    assert_eq!((events.len(), events[55].0.as_str()), (56, "[DONE]"));
    assert_eq!(events[54].1["usage"]["prompt_tokens"], (body.len() as u64).div_ceil(4));
    assert_eq!(events[54].1["choices"], json!([]));
    assert_eq!(events[0].1["choices"][0]["delta"]["role"], "assistant");
    assert!(events[1..55].iter().all(|(_, data)| data["choices"][0]["delta"].get("role").is_none()));

    let plain = r#"{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let answer = bench.post("/v1/chat/completions", KEY, plain).await;
    assert!(answer.events().iter().all(|(_, data)| data.get("usage").is_none()));
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn a_response_announces_every_item_before_its_deltas_and_numbers_its_events() {
    let bench = bench().await;
    let body = r#"{"model":"gpt-5","stream":true,"input":"hi","reasoning":{"effort":"low"}}"#;
    let answer = bench.post("/openai/v1/responses", KEY, body).await;
    let events = answer.events();
    for (n, (name, data)) in events.iter().enumerate() {
        assert_eq!(
            (data["sequence_number"].as_u64(), data["type"].as_str()),
            (Some(n as u64), Some(name.as_str()))
        );
    }
    assert_eq!(
        names(&answer),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed"
        ]
    );
    let response = &events.last().unwrap().1["response"];
    assert_eq!(response["usage"]["input_tokens"], (body.len() as u64).div_ceil(4));
    assert_eq!(response["output"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_codex_backend_streams_and_shows_its_windows() {
    let bench = bench().await;
    let body = r#"{"model":"gpt-5","instructions":"","input":[{"role":"user","content":"hi"}],"stream":true,"store":false}"#;
    let answer = bench.post("/backend-api/codex/responses", "eyJ", body).await;
    assert_eq!(names(&answer)[..2], ["codex.rate_limits", "response.created"]);
    assert_eq!(answer.header("x-codex-primary-window-minutes"), Some("300"));
    let refused = bench.post("/codex/responses", "eyJ", r#"{"model":"m","top_p":1}"#).await;
    assert_eq!((refused.status, refused.json()), (400, json!({"detail": "Unsupported parameter: top_p"})));
}

#[tokio::test]
async fn what_is_not_streamed_comes_whole() {
    let bench = bench().await;
    let message = bench.message(KEY, false).await.unwrap().json();
    assert_eq!(
        (message["type"].as_str(), message["stop_reason"].as_str()),
        (Some("message"), Some("end_turn"))
    );
    let counted = bench
        .send(
            Method::POST,
            "/v1/messages/count_tokens",
            &[("x-api-key", KEY), ("anthropic-version", "2026-10-21")],
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        )
        .await
        .unwrap();
    assert_eq!(counted.json(), json!({"input_tokens": 15}));
    let response = bench.post("/v1/responses", KEY, r#"{"model":"m","input":"hi"}"#).await.json();
    assert_eq!(response["status"], "completed");
    let compacted = bench.post("/v1/responses/compact", KEY, r#"{"model":"m","input":"hi"}"#).await.json();
    assert_eq!(compacted["object"], "response.compaction");
    let one =
        bench.post("/v1/embeddings", KEY, r#"{"model":"m","input":["a","b"],"dimensions":8}"#).await.json();
    assert_eq!(
        (one["data"][1]["index"].as_u64(), one["data"][1]["embedding"].as_array().unwrap().len()),
        (Some(1), 8)
    );
    let text = r#"{"model":"m","input":"a","dimensions":9,"encoding_format":"base64"}"#;
    let packed = bench.post("/v1/embeddings", KEY, text).await.json();
    assert_eq!(packed["data"][0]["embedding"].as_str().unwrap().len(), 48);
}

#[tokio::test]
async fn models_are_listed_as_each_provider_does() {
    let bench =
        Bench::start(Config { models: vec!["claude-x".into(), "gpt/y".into()], ..Config::default() }).await;
    let get =
        async |path: &'static str| bench.send(Method::GET, path, &[("x-api-key", KEY)], "").await.unwrap();
    let list = get("/anthropic/v1/models").await.json();
    assert_eq!((list["has_more"].as_bool(), list["last_id"].as_str()), (Some(false), Some("gpt/y")));
    assert_eq!(get("/openai/v1/models").await.json()["data"][0]["object"], "model");
    assert_eq!(get("/openai/v1/models/gpt/y").await.json()["id"], "gpt/y");
    assert_eq!(get("/anthropic/v1/models/nothing").await.status, 404);
    let missing = bench.message(KEY, true).await.unwrap();
    assert_eq!((missing.status, missing.json()["error"]["type"].as_str()), (404, Some("not_found_error")));
}

#[tokio::test]
async fn wrong_requests_are_refused_in_the_providers_words() {
    let bench = bench().await;
    let refused = bench.post("/v1/messages", KEY, r#"{"model":"m"}"#).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["type"].as_str()),
        (400, Some("invalid_request_error"))
    );
    let refused = bench.post("/v1/chat/completions", KEY, r#"{"model":"m"}"#).await;
    assert_eq!(refused.json()["error"]["param"], "messages");
    assert_eq!(bench.post("/v1/responses", KEY, "{").await.status, 400);
    assert_eq!(bench.post("/v1/nothing", KEY, "{}").await.status, 404);
    let stranger =
        bench.send(Method::POST, "/v1/responses", &[], r#"{"model":"m","input":"hi"}"#).await.unwrap();
    assert_eq!((stranger.status, stranger.json()["error"]["code"].as_str()), (401, Some("invalid_api_key")));
}

#[tokio::test]
async fn both_http_versions_say_the_same_and_the_same_seed_says_it_again() {
    let (one, two) = (Bench::start(Config::default()).await, Bench::start_http2(Config::default()).await);
    let (first, second) = (one.message(KEY, true).await.unwrap(), two.message(KEY, true).await.unwrap());
    assert_eq!((first.version, second.version), (Version::HTTP_11, Version::HTTP_2));
    assert_eq!(first.body, second.body);
    let other = Bench::start(Config { seed: 2, ..Config::default() }).await;
    assert_ne!(other.message(KEY, true).await.unwrap().body, first.body);
}

#[tokio::test]
async fn gzip_is_used_when_configured_and_accepted() {
    use std::io::Read;
    let bench = Bench::start(Config { gzip: true, ..Config::default() }).await;
    assert_eq!(bench.message(KEY, true).await.unwrap().header("content-encoding"), None);
    let body = r#"{"model":"m","stream":true,"input":"hi"}"#;
    let headers = [("authorization", "Bearer sk-one"), ("accept-encoding", "br, gzip")];
    let answer = bench.send(Method::POST, "/v1/responses", &headers, body).await.unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(crate::client::events(&text).len(), 56);
}

/// The events' names, or the fields of a whole body.
fn shape(answer: &Answer, stream: bool) -> Vec<String> {
    if stream { answer.events().into_iter().map(|(name, _)| name).collect() } else { fields(&answer.json()) }
}

fn fields(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn prepared_answers_are_like_the_others() {
    let prepared = Bench::start(Config { bench: true, ..Config::default() }).await;
    let live = Bench::start(Config::default()).await;
    for stream in [false, true] {
        let (short, long) =
            (prepared.message(KEY, stream).await.unwrap(), live.message(KEY, stream).await.unwrap());
        assert_eq!(shape(&short, stream), shape(&long, stream));
        let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&short), names(&long));
    }
}
