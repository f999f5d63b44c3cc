//! Keeps the webhook configuration trusting our authority: without its `caBundle` the API server calls nobody,
//! and pods start without sidecars. Every replica does this; all of them write the same.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// Between two looks at what the API server has: an upgrade, or a person, may have taken it out.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// Who wrote the field, as the object itself tells.
const FIELD_MANAGER: &str = "penstock-controller";

/// Writes the authority's certificates (PEM) into the configuration of this name, now and whenever either
/// changes. Never ends.
pub async fn keep(client: Client, name: String, mut authority: watch::Receiver<Arc<str>>) {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client);
    let mut failing = false;
    loop {
        let pem = Arc::clone(&authority.borrow_and_update());
        let done = once(&api, &name, &pem).await;
        let failed_before = std::mem::replace(&mut failing, done.is_err());
        match done {
            Ok(Done::Written) => info!(name, "the webhook configuration trusts our authority now"),
            Ok(Done::Missing) => debug!(name, "there is no webhook configuration"),
            // Once: the next ones say the same.
            Err(error) if !failed_before => {
                let error: &dyn std::error::Error = &error;
                warn!(
                    error,
                    name, "the webhook configuration cannot be kept; pods may start without sidecars"
                );
                failing = true;
            }
            Ok(Done::Nothing) | Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(BETWEEN_LOOKS) => {}
            Ok(()) = authority.changed() => {}
        }
    }
}

enum Done {
    Written,
    Nothing,
    Missing,
}

async fn once(api: &Api<MutatingWebhookConfiguration>, name: &str, pem: &str) -> Result<Done, kube::Error> {
    let Some(configuration) = api.get_opt(name).await? else { return Ok(Done::Missing) };
    let Some(patch) = patch(&configuration, pem) else { return Ok(Done::Nothing) };
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(name, &params, &Patch::Strategic(patch)).await?;
    Ok(Done::Written)
}

/// What is to be written: the bundle of each webhook that has another one. Webhooks are known by their names, so
/// nothing else of them is touched.
fn patch(configuration: &MutatingWebhookConfiguration, pem: &str) -> Option<Value> {
    let bundle = ByteString(pem.as_bytes().to_vec());
    let others: Vec<_> = configuration
        .webhooks
        .iter()
        .flatten()
        .filter(|webhook| webhook.client_config.ca_bundle.as_ref() != Some(&bundle))
        .map(|webhook| json!({ "name": webhook.name, "clientConfig": { "caBundle": bundle } }))
        .collect();
    (!others.is_empty()).then(|| json!({ "webhooks": others }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_webhooks_with_another_bundle_are_written() {
        let configuration = |bundles: [Option<&str>; 2]| -> MutatingWebhookConfiguration {
            let webhook = |(at, bundle): (usize, Option<&str>)| {
                let bundle = bundle.map(|pem| ByteString(pem.as_bytes().to_vec()));
                json!({ "name": format!("{at}.inject.penstock.dev"), "admissionReviewVersions": ["v1"],
                    "sideEffects": "None", "clientConfig": { "caBundle": bundle } })
            };
            let webhooks: Vec<_> = bundles.into_iter().enumerate().map(webhook).collect();
            serde_json::from_value(json!({ "metadata": { "name": "penstock" }, "webhooks": webhooks }))
                .unwrap()
        };
        assert_eq!(patch(&configuration([Some("new"), Some("new")]), "new"), None);
        let written = patch(&configuration([Some("new"), None]), "new").unwrap();
        let expected = json!({ "name": "1.inject.penstock.dev", "clientConfig": { "caBundle": "bmV3" } });
        assert_eq!(written, json!({ "webhooks": [expected] }));
        assert_eq!(
            patch(&configuration([Some("old"), None]), "new").unwrap()["webhooks"].as_array().unwrap().len(),
            2
        );
    }
}
