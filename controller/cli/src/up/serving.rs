//! Whether the proxy serves: it listens a moment before it knows its accounts.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::Uri;
use http_body_util::Empty;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

/// Longer than this nobody should be kept from the addresses; what is wrong the log says.
const WITHIN: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Waits until the proxy with this admin listener says that it is ready: whoever reads the addresses uses them.
pub(crate) async fn wait(admin: SocketAddr) -> anyhow::Result<()> {
    let uri: Uri = format!("http://{admin}/readyz").parse().context("the proxy's admin address")?;
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let ready = async {
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        loop {
            looks.tick().await;
            if client.get(uri.clone()).await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
        }
    };
    // Not serving yet is no reason to stop: the controller may be taking its time.
    drop(tokio::time::timeout(WITHIN, ready).await);
    Ok(())
}
