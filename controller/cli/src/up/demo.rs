//! `--demo`: accounts on the simulator with small limits, and some traffic, so that routing, failover,
//! limits and the dashboard can be seen at once without any key.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use super::child::Spec;

/// The file in the config folder that holds the demo's accounts.
const MANIFEST: &str = "demo.yaml";
/// Between two made-up requests: enough to see windows fill within a minute.
const PACE: Duration = Duration::from_millis(700);
/// Conversations that go on at the same time, so that affinity can be seen.
const CONVERSATIONS: usize = 6;

const ACCOUNTS: [(&str, &str, &str, u8); 5] = [
    ("claude-team-1", "anthropic", "/anthropic", 0),
    ("claude-team-2", "anthropic", "/anthropic", 0),
    ("claude-reserve", "anthropic", "/anthropic", 10),
    ("openai-team-1", "openai", "/openai/v1", 0),
    ("openai-reserve", "openai", "/openai/v1", 10),
];

/// The simulated provider, with limits small enough to be met.
pub(crate) fn simulator_spec() -> anyhow::Result<Spec> {
    Ok(Spec::sibling("simulator", "penstock-simulator")?.arg("--listen", "127.0.0.1:0").flag("--demo"))
}

/// Writes the demo's accounts, which end with the demo.
pub(crate) fn write_manifest(config: &Path, simulator: SocketAddr) -> anyhow::Result<()> {
    let mut manifest = String::from(
        "# Written by `penstock up --demo`, removed when it stops. All of it is on the simulated provider.\n",
    );
    for (name, provider, path, priority) in ACCOUNTS {
        manifest.push_str(&format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\nstringData: {{ apiKey: demo-{name} }}\n\
             ---\napiVersion: penstock.dev/v1alpha1\nkind: ProviderAccount\nmetadata: {{ name: {name} }}\n\
             spec:\n  provider: {provider}\n  baseUrl: http://{simulator}{path}\n  priority: {priority}\n  \
             credentials: {{ secretRef: {{ name: {name} }} }}\n"
        ));
    }
    let path = config.join(MANIFEST);
    std::fs::write(&path, manifest).with_context(|| format!("writing {}", path.display()))
}

/// Removes them, also those left behind by a demo that was killed.
pub(crate) fn remove_manifest(config: &Path) {
    // Not being there is the usual case.
    drop(std::fs::remove_file(config.join(MANIFEST)));
}

/// Sends requests through the proxy until it is dropped. Failures are what a demo may show: they are
/// in the history like those of any client.
pub(crate) async fn traffic(proxy: SocketAddr) {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut pace = tokio::time::interval(PACE);
    for turn in 0_usize.. {
        pace.tick().await;
        let Ok(request) = made_up(proxy, turn) else { return };
        if let Ok(response) = client.request(request).await {
            drop(response.into_body().collect().await);
        }
    }
}

fn made_up(proxy: SocketAddr, turn: usize) -> http::Result<Request<Full<Bytes>>> {
    const QUESTIONS: [&str; 4] = [
        "Explain what a penstock is in two sentences.",
        "Write a limerick about rate limits.",
        "Which of these functions is never called?",
        "Summarise the incident report for the weekly meeting.",
    ];
    let conversation = turn % CONVERSATIONS;
    let question = QUESTIONS[turn % QUESTIONS.len()];
    let stream = !turn.is_multiple_of(3);
    let session = format!("demo-{conversation}");
    let (path, body) = match conversation {
        0..=3 => (
            "/v1/messages",
            serde_json::json!({"model": "claude-sonnet-4-5", "max_tokens": 512, "stream": stream,
                "messages": [{"role": "user", "content": question}]}),
        ),
        4 => (
            "/v1/chat/completions",
            serde_json::json!({"model": "gpt-5", "stream": stream,
                "messages": [{"role": "user", "content": question}]}),
        ),
        _ => {
            ("/v1/responses", serde_json::json!({"model": "gpt-5-mini", "stream": stream, "input": question}))
        }
    };
    Request::post(format!("http://{proxy}{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-penstock-session", session)
        .header("anthropic-version", "2023-06-01")
        .body(Full::new(body.to_string().into()))
}
