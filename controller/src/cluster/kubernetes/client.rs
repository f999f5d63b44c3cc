//! The way to the API server: none of its requests waits for ever, wherever the network is cut.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;
use tower_http::timeout::ResponseBodyTimeoutLayer;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);

/// Until the head of an answer is there. The API server itself gives up on most requests after 60 s, but one that
/// is well answers within a second.
const HEAD: Duration = Duration::from_secs(15);

/// Between two pieces of an answer; watches end sooner by themselves.
const SILENCE: Duration = Duration::from_secs(super::watch::WATCH_SECONDS as u64 + 15);

/// The cluster that this runs in, or the one of the kubeconfig.
///
/// # Errors
/// If there is neither, or it cannot be used.
pub async fn client() -> Result<Client, kube::Error> {
    let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    client_of(config)
}

/// A client of this configuration.
///
/// # Errors
/// If it cannot be used.
pub fn client_of(mut config: Config) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(CONNECT);
    // Whoever asks knows when to ask again.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder
        .with_layer(&ResponseBodyTimeoutLayer::new(SILENCE))
        .with_layer(&TimeoutLayer::new(HEAD))
        .build())
}
