//! Of Secrets, only those that somebody names are in the controller's memory.

use penstock_e2e::with_temp_ns;
use serde_json::json;

use super::replica::{Replica, in_namespace};
use super::{account, apply, create, id, rights, secret, server};

#[tokio::test]
async fn only_secrets_that_are_named_and_client_keys_are_kept() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let config = rights::in_one_namespace(server, namespace, true).await;
        secret(&client, namespace, "other", "sk-other").await;
        account(&client, namespace, "a").await;
        let replica = Replica::start(config, in_namespace(namespace, "one")).await;
        let names = |objects: &penstock_controller_core::objects::Objects| -> Vec<String> {
            objects.secrets.keys().map(|id| id.name().to_owned()).collect()
        };
        replica.objects("only the named one", |objects| names(objects) == ["a"]).await;

        let hash = "0".repeat(64);
        let key = json!({
            "metadata": {"name": "key", "labels": {"penstock.dev/client-key": "true"}},
            "stringData": {"sha256": hash},
        });
        create::<k8s_openapi::api::core::v1::Secret>(&client, namespace, key).await;
        replica.objects("the client key, too", |objects| names(objects) == ["a", "key"]).await;
        apply(
            &client,
            namespace,
            "AccessGrant",
            "g",
            &json!({"subjects": [{"kind": "ClientKey", "name": "other"}]}),
        )
        .await;
        replica
            .objects("the one that a grant names", |objects| names(objects) == ["a", "key", "other"])
            .await;

        // Another Secret for the account: the earlier one is forgotten.
        secret(&client, namespace, "b", "sk-b").await;
        let spec = json!({"provider": "anthropic", "credentials": {"secretRef": {"name": "b"}}});
        apply(&client, namespace, "ProviderAccount", "a", &spec).await;
        let objects =
            replica.objects("b instead of a", |objects| names(objects) == ["b", "key", "other"]).await;
        assert_eq!(
            objects.accounts[&id(namespace, "a")].spec.credentials.as_ref().unwrap().secret_ref.name,
            "b"
        );
        replica.stop().await;
    })
    .await;
}
