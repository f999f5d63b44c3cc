//! Our kinds, served by a real API server: what it accepts, what it refuses and with which words, and what a person
//! sees of them with kubectl.
//!
//! | module | what it proves |
//! |---|---|
//! | `limits` | every limit of the schemas holds, found by walking them |
//! | `rules` | every CEL rule refuses what it should, with the sentence that says what to do |
//! | `merge` | two managers that apply to one object keep what the other wrote |
//! | `kubectl` | explain, short names, columns, the status subresource |

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod kubectl;
mod limits;
mod merge;
mod rules;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;
use kube::Client;
use penstock_e2e::ApiServer;
use serde_json::Value;
use tokio::sync::OnceCell;

/// One object of each kind with every field, and more where fields exclude each other.
const EXAMPLES: [&str; 4] = [
    include_str!("account.yaml"),
    include_str!("pool.yaml"),
    include_str!("pool-refs.yaml"),
    include_str!("grant.yaml"),
];

/// The API server that the tests share, with our kinds.
async fn server() -> &'static ApiServer {
    static KINDS: OnceCell<()> = OnceCell::const_new();
    let server = ApiServer::shared().await;
    KINDS.get_or_init(async || server.apply_crds().await.unwrap()).await;
    server
}

fn examples() -> Vec<Value> {
    EXAMPLES.iter().map(|yaml| serde_saphyr::from_str(yaml).unwrap()).collect()
}

/// The schema of each kind, by its name.
fn schemas() -> Vec<(String, Value)> {
    let schema = |definition: &_| {
        let definition = serde_json::to_value(definition).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        (kind, definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
    };
    penstock_crds::definitions().iter().map(schema).collect()
}

/// Where the objects of a kind are, of the one called `name` if given.
fn path(namespace: &str, object: &Value) -> String {
    let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
    format!("/apis/{}/namespaces/{namespace}/{plural}", object["apiVersion"].as_str().unwrap())
}

/// Sends a request as strict as `kubectl apply`; what the API server said against the object, if anything.
async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Result<Value, Vec<StatusCause>> {
    let join = if path.contains('?') { '&' } else { '?' };
    let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{path}{join}fieldValidation=Strict"))
        .header("content-type", content)
        .body(serde_json::to_vec(body).unwrap())
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(stored) => Ok(stored),
        Err(kube::Error::Api(status)) => {
            let causes = status.details.as_ref().map(|details| details.causes.clone()).unwrap_or_default();
            assert!(!causes.is_empty(), "refused, but for another reason: {status:?}");
            Err(causes
                .into_iter()
                .map(|cause| serde_json::from_value(serde_json::to_value(cause).unwrap()).unwrap())
                .collect())
        }
        Err(error) => panic!("{method} {path}: {error}"),
    }
}

/// Whether the API server would accept a new object; stores nothing.
async fn try_create(client: &Client, namespace: &str, object: &Value) -> Result<Value, Vec<StatusCause>> {
    send(client, "POST", &format!("{}?dryRun=All", path(namespace, object)), object).await
}

/// Creates an object.
async fn create(client: &Client, namespace: &str, object: &Value) -> Value {
    send(client, "POST", &path(namespace, object), object).await.expect("the object is good")
}

/// Whether the API server would accept a status of a stored object; stores it only if `keep`.
async fn write_status(
    client: &Client,
    namespace: &str,
    object: &Value,
    status: &Value,
    keep: bool,
) -> Result<Value, Vec<StatusCause>> {
    let name = object["metadata"]["name"].as_str().unwrap();
    let dry = if keep { "" } else { "?dryRun=All" };
    let path = format!("{}/{name}/status{dry}", path(namespace, object));
    send(client, "PATCH", &path, &serde_json::json!({ "status": status })).await
}

#[tokio::test]
async fn the_examples_are_accepted_as_they_are() {
    let server = server().await;
    penstock_e2e::with_temp_ns(&server.client(), async |namespace: &str| {
        for example in examples() {
            create(&server.client(), namespace, &example).await;
            write_status(&server.client(), namespace, &example, &example["status"], true).await.unwrap();
        }
    })
    .await;
}
