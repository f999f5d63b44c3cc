//! The management API over HTTP: one client for all commands.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::settings::default_data;

/// Which controller to talk to.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApiArgs {
    /// Address of the management API
    #[arg(
        long,
        value_name = "URL",
        env = "PENSTOCK_API",
        default_value = "http://127.0.0.1:8090",
        global = true
    )]
    api: String,
    /// Admin token; read from <data>/admin-token when not given
    #[arg(long, value_name = "TOKEN", env = "PENSTOCK_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// The data folder of `penstock up` [default: ~/.local/share/penstock]
    #[arg(long, value_name = "DIR", env = "PENSTOCK_DATA", global = true)]
    data: Option<PathBuf>,
}

/// A connection to the management API.
pub(crate) struct Api {
    base: String,
    token: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl ApiArgs {
    /// Finds the token and prepares a client; nothing is sent yet.
    pub(crate) fn connect(&self) -> anyhow::Result<Api> {
        let token = match &self.token {
            Some(token) => token.clone(),
            None => self.token_file()?,
        };
        Ok(Api::new(self.api.trim_end_matches('/').to_owned(), token))
    }

    fn token_file(&self) -> anyhow::Result<String> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => default_data()?,
        };
        // `penstock up --demo` keeps its data in a folder of its own below.
        let candidates = [data.join("admin-token"), data.join("demo/admin-token")];
        for path in &candidates {
            if let Ok(token) = std::fs::read_to_string(path) {
                return Ok(token.trim().to_owned());
            }
        }
        bail!(
            "no admin token at {}: is `penstock up` running? Otherwise give --data DIR or --token TOKEN",
            candidates[0].display()
        )
    }
}

impl Api {
    /// A client for the API at `base` (`http://host:port`).
    pub(crate) fn new(base: String, token: String) -> Self {
        Self { base, token, http: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// A client for the API on this machine.
    pub(crate) fn local(address: SocketAddr, token: String) -> Self {
        Self::new(format!("http://{address}"), token)
    }

    /// GETs a JSON document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// POSTs a JSON document and reads one back.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// DELETEs, with a JSON document that confirms.
    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::DELETE, path, Some(body)).await
    }

    /// Opens a stream of server-sent events.
    pub(crate) async fn stream(&self, path: &str) -> anyhow::Result<Incoming> {
        let response = self.send(Method::GET, path, Bytes::new(), "text/event-stream").await?;
        Ok(response.into_body())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body)?.into(),
            None => Bytes::new(),
        };
        let response = self.send(method, path, bytes, "application/json").await?;
        let body = response.into_body().collect().await.context("reading the answer")?.to_bytes();
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body)
            .with_context(|| format!("the answer to {path} is not what this version expects"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        accept: &str,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let url = format!("{}{path}", self.base);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .with_context(|| format!("{url:?} is not an address"))?;
        let response = self.http.request(request).await.map_err(|error| {
            anyhow::anyhow!("no management API at {}: is `penstock up` running? ({error})", self.base)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body =
            response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(refusal(status, &body))
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let said = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|body| body.get("error").and_then(Value::as_str).map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    match status {
        StatusCode::UNAUTHORIZED => anyhow::anyhow!("the management API refused the admin token ({said})"),
        _ if said.is_empty() => anyhow::anyhow!("the management API answered {status}"),
        _ => anyhow::anyhow!("{said}"),
    }
}

/// Percent-encodes one segment of a path or one value of a query.
pub(crate) fn encode(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
