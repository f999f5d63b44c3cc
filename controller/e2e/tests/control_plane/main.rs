//! Controllers on a real API server, each with no more rights than the table in the controller's
//! `cluster/kubernetes.rs` says: what they take in, what they write, who of them leads.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod edits;
mod leader;
mod objects;
mod outages;
mod people;
mod references;
mod replica;
mod rights;
mod sharing;
mod status;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use penstock_crds::ProviderAccount;
use penstock_e2e::{ApiServer, with_temp_ns};
use penstock_proto::ids::ObjectId;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use replica::{Replica, in_namespace};

/// An API server that knows our kinds, for all tests here but those that stop it.
async fn server() -> &'static ApiServer {
    static APPLIED: OnceCell<()> = OnceCell::const_new();
    let server = ApiServer::shared().await;
    APPLIED.get_or_init(async || server.apply_crds().await.unwrap()).await;
    server
}

/// Whether a controller may read and write Secrets where it watches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Allowed,
    Forbidden,
}

/// Runs a test with a controller that watches a namespace of its own, empty as it starts, and ends it.
async fn with_replica(secrets: Secrets, test: impl AsyncFnOnce(&Client, &str, &Replica)) {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let config = rights::in_one_namespace(server, namespace, secrets == Secrets::Allowed).await;
        let replica = Replica::start(config, in_namespace(namespace, "one")).await;
        test(&client, namespace, &replica).await;
        replica.stop().await;
    })
    .await;
}

fn id(namespace: &str, name: &str) -> ObjectId {
    ObjectId::new(namespace, name).unwrap()
}

fn accounts(client: &Client, namespace: &str) -> Api<ProviderAccount> {
    Api::namespaced(client.clone(), namespace)
}

fn secrets(client: &Client, namespace: &str) -> Api<Secret> {
    Api::namespaced(client.clone(), namespace)
}

/// Applies a manifest of one of our kinds, as kubectl would.
async fn apply(client: &Client, namespace: &str, kind: &str, name: &str, spec: &Value) {
    let plural = kind.to_lowercase() + "s";
    let path = format!("/apis/penstock.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}");
    let manifest = json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    let request = http::Request::patch(format!("{path}?fieldManager=test&force=true"))
        .header("content-type", "application/apply-patch+yaml")
        .body(manifest.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(request).await.unwrap();
}

/// An account at Anthropic with a Secret of its name.
async fn account(client: &Client, namespace: &str, name: &str) {
    secret(client, namespace, name, &format!("sk-{name}")).await;
    let spec = json!({"provider": "anthropic", "credentials": {"secretRef": {"name": name}}});
    apply(client, namespace, "ProviderAccount", name, &spec).await;
}

/// A Secret with an API key.
async fn secret(client: &Client, namespace: &str, name: &str, key: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"apiKey": key},
    });
    let params = PatchParams::apply("test").force();
    secrets(client, namespace).patch(name, &params, &Patch::Apply(&secret)).await.unwrap();
}

async fn create<K>(client: &Client, namespace: &str, object: Value) -> K
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}
