//! Who signs the tokens of the cluster's ServiceAccounts, read from the API server again and again: keys are replaced
//! while gateways run. What was read last stays in force while nothing can be read.
//!
//! Rights: `get` on the paths `/.well-known/openid-configuration` and `/openid/v1/jwks` (the ClusterRole
//! `system:service-account-issuer-discovery` has them).

use std::time::Duration;

use anyhow::Context;
use kube::Client;
use penstock_controller_core::issuer::read;
use penstock_proto::issuer::TokenIssuer;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::reconcile::Reconciler;

/// Between two readings: a token signed with a new key is refused no longer than this.
const PERIOD: Duration = Duration::from_mins(1);
/// While nothing was read yet, gateways can verify nobody.
const FIRST_PERIOD: Duration = Duration::from_secs(2);
/// For one reading.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads and publishes until `stop`.
pub async fn run(client: Client, reconciler: Reconciler, stop: CancellationToken) {
    let mut published = None;
    let mut failing = false;
    loop {
        let read = tokio::select! {
            read = tokio::time::timeout(PATIENCE, fetch(&client)) => read,
            () = stop.cancelled() => return,
        };
        let failed_before = failing;
        match read.map_err(anyhow::Error::from).flatten() {
            Ok((issuer, unusable)) => {
                failing = false;
                if published.as_ref() != Some(&issuer) {
                    for why in unusable {
                        warn!(why, "tokens signed with a key of the cluster cannot be verified");
                    }
                    info!(
                        issuer = issuer.issuer,
                        keys = issuer.keys.len(),
                        "gateways verify callers' tokens"
                    );
                    published = Some(issuer.clone());
                    reconciler.set_issuer(issuer).await;
                }
            }
            Err(error) => {
                failing = true;
                if !failed_before {
                    let known = published.is_some();
                    let error = format!("{error:#}");
                    warn!(
                        error,
                        known, "who signs the cluster's tokens cannot be read; what is known stays in force"
                    );
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(if published.is_some() { PERIOD } else { FIRST_PERIOD }) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn fetch(client: &Client) -> anyhow::Result<(TokenIssuer, Vec<String>)> {
    let get = async |path: &str| {
        let request = http::Request::get(path).body(Vec::new())?;
        client.request_text(request).await.with_context(|| format!("reading {path} of the API server"))
    };
    let configuration = get("/.well-known/openid-configuration").await?;
    Ok(read(&configuration, &get("/openid/v1/jwks").await?)?)
}
