//! HTTP from a test to what it runs.

use anyhow::{Context, Result, ensure};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Sends a request on a connection of its own: the status and the text of the answer, whatever they are.
pub async fn send(request: Request<String>) -> Result<(u16, String)> {
    let url = request.uri().to_string();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let answer = client.request(request.map(Full::from)).await.with_context(|| url.clone())?;
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.context(url)?.to_bytes();
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// A call and its answer, which must be of success: JSON, or text as a JSON string.
pub async fn call(method: Method, url: &str, token: Option<&str>, body: Option<Value>) -> Result<Value> {
    let mut request = Request::builder().method(method).uri(url).header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let (status, text) = send(request.body(body)?).await?;
    ensure!((200..300).contains(&status), "{url}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Reads something.
pub async fn get(url: &str) -> Result<Value> {
    call(Method::GET, url, None, None).await
}
