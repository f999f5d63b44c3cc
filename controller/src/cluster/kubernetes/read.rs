//! Reads what objects refer to, one by one: what a Secret contains is never asked for unless somebody names it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::{Api, Client};
use penstock_controller_core::objects::SecretObject;
use penstock_controller_core::references::{Reference, Referent};
use penstock_proto::secret::Secret;
use tracing::debug;

use super::state::Content;

/// Between tries; a read is short, and whoever waits for it waits for a credential.
const RETRY: Duration = Duration::from_millis(500);

/// What was read.
pub(super) struct Fetched {
    pub(super) reference: Reference,
    /// The version that the watch had told of before.
    pub(super) version: String,
    pub(super) content: Content,
}

/// Reads until there is an answer.
pub(super) async fn read(client: Client, reference: Reference, version: String) -> Fetched {
    loop {
        let content = match reference.kind {
            Referent::Secret => secret(&client, &reference).await,
            Referent::ConfigMap => config_map(&client, &reference).await,
        };
        match content {
            Ok(content) => return Fetched { reference, version, content },
            // It may be listed but not read: it is as if it were not there, until it changes.
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Fetched { reference, version, content: Content::Nothing };
            }
            Err(error) => {
                debug!(%error, id = %reference.id, "what an object refers to could not be read; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn secret(client: &Client, reference: &Reference) -> Result<Content, kube::Error> {
    let secrets = Api::<core::Secret>::namespaced(client.clone(), reference.id.namespace());
    let Some(found) = secrets.get_opt(reference.id.name()).await? else { return Ok(Content::Nothing) };
    Ok(Content::Secret(Arc::new(SecretObject {
        labels: found.metadata.labels.unwrap_or_default(),
        // What is no text cannot be sent, and is refused for that where it is used.
        data: values(found.data.unwrap_or_default()),
    })))
}

fn values(data: BTreeMap<String, k8s_openapi::ByteString>) -> BTreeMap<String, Secret> {
    let text = |value: Vec<u8>| {
        String::from_utf8(value).unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned())
    };
    data.into_iter().map(|(key, value)| (key, Secret::new(text(value.0)))).collect()
}

async fn config_map(client: &Client, reference: &Reference) -> Result<Content, kube::Error> {
    let config_maps = Api::<core::ConfigMap>::namespaced(client.clone(), reference.id.namespace());
    let found = config_maps.get_opt(reference.id.name()).await?;
    Ok(found.map_or(Content::Nothing, |found| Content::ConfigMap(Arc::new(found.data.unwrap_or_default()))))
}
