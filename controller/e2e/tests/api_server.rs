//! The API server for tests keeps its own promises.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use penstock_crds::ProviderAccount;
use penstock_e2e::api_server::Token;
use penstock_e2e::{ApiServer, with_temp_ns};
use serde_json::json;

#[tokio::test]
async fn a_namespace_is_there_for_the_test_and_deleted_after_it() {
    let client = ApiServer::shared().await.client();
    let name = with_temp_ns(&client, async |namespace: &str| {
        let config = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        config.create(&PostParams::default(), &named("a")).await.unwrap();
        namespace.to_owned()
    })
    .await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    assert!(namespaces.get(&name).await.unwrap().metadata.deletion_timestamp.is_some());
}

#[tokio::test]
async fn a_service_account_may_do_nothing_until_it_is_allowed_to() {
    let server = ApiServer::shared().await;
    with_temp_ns(&server.client(), async |namespace: &str| {
        let client = server.client_as(namespace, "nobody").await.unwrap();
        let refused = Api::<ConfigMap>::namespaced(client, namespace).list(&ListParams::default()).await;
        let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
        assert!(status.is_forbidden(), "{status:?}");
        assert!(status.message.contains(&format!("system:serviceaccount:{namespace}:nobody")), "{status:?}");
    })
    .await;
}

#[tokio::test]
async fn a_token_is_good_for_its_audience_only_and_names_its_pod() {
    let server = ApiServer::shared().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pod = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": { "serviceAccountName": "app", "containers": [{ "name": "c", "image": "registry.test/none:1" }] },
        }));
        pods.create(&PostParams::default(), &pod.unwrap()).await.unwrap();
        let wanted = Token { namespace, service_account: "app", audience: "penstock", pod: Some("web") };
        let token = server.token(wanted).await.unwrap();

        let accepted = review(&client, &token, "penstock").await;
        assert_eq!(accepted.authenticated, Some(true), "{accepted:?}");
        let user = accepted.user.unwrap();
        assert_eq!(user.username, Some(format!("system:serviceaccount:{namespace}:app")));
        let extra = user.extra.unwrap();
        assert_eq!(extra["authentication.kubernetes.io/pod-name"], ["web"]);

        let elsewhere = review(&client, &token, "another").await;
        assert_ne!(elsewhere.authenticated, Some(true), "{elsewhere:?}");
    })
    .await;
}

#[tokio::test]
async fn what_was_stored_survives_the_server_being_away() {
    let mut server = ApiServer::start().await.unwrap();
    server.apply_crds().await.unwrap();
    let config = Api::<ConfigMap>::namespaced(server.client(), "default");
    config.create(&PostParams::default(), &named("kept")).await.unwrap();
    server.stop();
    assert!(config.get("kept").await.is_err(), "nobody should answer");
    server.restart().await.unwrap();
    config.get("kept").await.unwrap();
    Api::<ProviderAccount>::namespaced(server.client(), "default")
        .list(&ListParams::default())
        .await
        .unwrap();

    server.freeze().unwrap();
    let asked = async { config.delete("kept", &DeleteParams::default()).await.unwrap() };
    let thawed = async { server.thaw().unwrap() };
    tokio::join!(asked, thawed);
}

async fn review(
    client: &Client,
    token: &str,
    audience: &str,
) -> k8s_openapi::api::authentication::v1::TokenReviewStatus {
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![audience.to_owned()]) };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let asked = TokenReview { spec, ..TokenReview::default() };
    reviews.create(&PostParams::default(), &asked).await.unwrap().status.unwrap()
}

fn named(name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}
