//! A small client: sends a request, keeps the whole answer.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use penstock_simulator::{Config, Simulator};
use serde_json::Value;

/// An answer; `broken` if its body did not end well.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) broken: bool,
}

/// A simulator and a client of it.
pub(crate) struct Bench {
    pub(crate) simulator: Simulator,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Bench {
    pub(crate) async fn start(config: Config) -> Self {
        let simulator = Simulator::start(config).await.unwrap();
        Self { simulator, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Speaking HTTP/2 without asking.
    pub(crate) async fn start_http2(config: Config) -> Self {
        let simulator = Simulator::start(config).await.unwrap();
        Self { simulator, client: Client::builder(TokioExecutor::new()).http2_only(true).build_http() }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        let uri = format!("{}{path}", self.simulator.url());
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(body.to_owned().into()).unwrap()).await.ok()?;
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut broken) = (Vec::new(), false);
        while let Some(frame) = incoming.frame().await {
            match frame {
                Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap()),
                Err(_) => broken = true,
            }
            if broken {
                break;
            }
        }
        Some(Answer {
            status: head.status.as_u16(),
            version: head.version,
            headers: head.headers,
            body,
            broken,
        })
    }

    /// A message to Anthropic.
    pub(crate) async fn message(&self, key: &str, stream: bool) -> Option<Answer> {
        let body = format!(
            r#"{{"model":"claude-opus-5","max_tokens":64,"messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#
        );
        let headers = [("x-api-key", key), ("anthropic-version", "2023-06-01")];
        self.send(Method::POST, "/anthropic/v1/messages", &headers, &body).await
    }

    /// Something to `OpenAI` or Codex.
    pub(crate) async fn post(&self, path: &str, key: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        self.send(Method::POST, path, &[("authorization", &bearer)], body).await.unwrap()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The events: name and data. Whoever does not end an event with an empty line fails here.
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        events(&self.body)
    }
}

pub(crate) fn events(body: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(body).unwrap();
    let mut blocks: Vec<_> = text.split("\n\n").collect();
    assert_eq!(blocks.pop(), Some(""), "the last event is complete");
    blocks.into_iter().map(event).collect()
}

fn event(block: &str) -> (String, Value) {
    let (mut name, mut data) = (String::new(), Value::Null);
    for line in block.lines() {
        match line.split_once(": ").unwrap() {
            ("event", value) => value.clone_into(&mut name),
            ("data", "[DONE]") => "[DONE]".clone_into(&mut name),
            ("data", value) => data = serde_json::from_str(value).unwrap(),
            other => panic!("unexpected line {other:?}"),
        }
    }
    (name, data)
}
