//! Reads what objects refer to, one by one: what a Secret contains is never asked for unless somebody names it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::{Api, Client};
use penstock_controller_core::objects::SecretObject;
use penstock_controller_core::references::{Reference, Referent};
use penstock_proto::secret::Secret;
use tokio::sync::Semaphore;
use tracing::debug;

use super::state::Content;

/// Between tries; a read is short, and whoever waits for it waits for a credential.
const RETRY: Duration = Duration::from_millis(500);

/// Reads at the same time, each with a connection of its own: at a start there are as many to read as accounts.
const AT_ONCE: usize = 32;

/// Reads, a few at a time.
#[derive(Clone)]
pub(super) struct Reader {
    client: Client,
    turns: Arc<Semaphore>,
}

/// What was read.
pub(super) struct Fetched {
    pub(super) reference: Reference,
    /// The version that the watch had told of before.
    pub(super) version: String,
    pub(super) content: Content,
}

impl Reader {
    /// Of this API server.
    pub(super) fn new(client: Client) -> Self {
        Self { client, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Reads until there is an answer.
    pub(super) async fn read(self, reference: Reference, version: String) -> Fetched {
        loop {
            match self.once(&reference).await {
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

    async fn once(&self, reference: &Reference) -> Result<Content, kube::Error> {
        let _turn = self.turns.acquire().await;
        match reference.kind {
            Referent::Secret => secret(&self.client, reference).await,
            Referent::ConfigMap => config_map(&self.client, reference).await,
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use kube::client::Body;
    use penstock_proto::ids::ObjectId;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn however_many_there_are_only_some_are_read_at_a_time() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let api_server = service_fn(async |_: http::Request<Body>| {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            NOW.fetch_sub(1, Ordering::Relaxed);
            let answer =
                r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"key"},"data":{"apiKey":"c2s="}}"#;
            Ok::<_, Infallible>(http::Response::new(Body::from(answer.as_bytes().to_vec())))
        });
        let reader = Reader::new(Client::new(api_server, "default"));
        let one = |number: usize| {
            let id = ObjectId::new("team", &format!("key-{number}")).expect("an id");
            reader.clone().read(Reference { kind: Referent::Secret, id }, "1".to_owned())
        };
        let read = join_all((0..10 * AT_ONCE).map(one)).await;
        assert!(read.iter().all(|read| matches!(read.content, Content::Secret(_))));
        assert_eq!(MOST.load(Ordering::Relaxed), AT_ONCE);
    }
}
