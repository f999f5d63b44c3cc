//! HTTP from the test to what runs in the cluster.

use anyhow::{Context, Result, ensure};
use http::header::AUTHORIZATION;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A call and its answer, which must be of success: JSON, or text as a JSON string.
pub(crate) async fn call(
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Result<Value> {
    let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let answer = client.request(request.body(Full::from(body))?).await.with_context(|| url.to_owned())?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await.with_context(|| url.to_owned())?.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    ensure!(status.is_success(), "{url}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned())))
}

/// Reads something.
pub(crate) async fn get(url: &str) -> Result<Value> {
    call(Method::GET, url, None, None).await
}
