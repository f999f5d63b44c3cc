//! Asks the cluster. Everything at the same time, because the answers do not depend on each other.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use penstock_controller_core::Secret as Hidden;
use penstock_controller_core::authority;
use penstock_controller_core::inject::names;
use serde::de::DeserializeOwned;

use super::facts::{Authority, Facts, Health, Known, Kubernetes, PodSeen, Unknown};

/// What to look at.
pub(super) struct Installation {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Port of the management API, as its Service has it.
const API_PORT: u16 = 8090;

/// Everything there is to know now.
pub(super) async fn facts(client: &Client, at: &Installation) -> Facts {
    let named = |suffix: &str| format!("{}{suffix}", at.name);
    let (controller, ca) = (named("-controller"), named("-ca"));
    let (gateway, webhook) = (named("-gateway"), named("-webhook"));
    let own = &at.namespace;
    let facts = tokio::join!(
        kubernetes(client),
        definitions(client),
        get(Api::namespaced(client.clone(), own), &controller),
        get(Api::namespaced(client.clone(), own), &controller),
        health(client, own, &controller),
        ready(client, own, &controller),
        authority(client, own, &ca),
        bundles(client, &ca),
        get::<MutatingWebhookConfiguration>(Api::all(client.clone()), &at.name),
        endpoints(client, own, &webhook),
        get(Api::namespaced(client.clone(), own), &gateway),
        endpoints(client, own, &at.name),
        labelled(client),
        accounts(client),
    );
    Facts {
        namespace: own.clone(),
        name: at.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        kubernetes: facts.0,
        definitions: facts.1,
        controller: facts.2,
        lease: facts.3,
        health: facts.4,
        ready: facts.5,
        authority: facts.6,
        bundles: facts.7,
        webhook: facts.8,
        webhook_endpoints: facts.9,
        gateway: facts.10,
        gateway_endpoints: facts.11,
        labelled: facts.12,
        accounts: facts.13,
    }
}

impl From<kube::Error> for Unknown {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 => Self::Missing,
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden(status.message),
            kube::Error::Api(status) => Self::Failed(status.message),
            error => Self::Failed(chain(&error)),
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn get<K>(api: Api<K>, name: &str) -> Known<K>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    Ok(api.get(name).await?)
}

async fn list<K>(api: Api<K>, params: ListParams) -> Known<Vec<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    Ok(api.list(&params).await?.items)
}

async fn kubernetes(client: &Client) -> Known<Kubernetes> {
    let version = client.apiserver_version().await?;
    Ok(Kubernetes { major: version.major, minor: version.minor, git: version.git_version })
}

async fn definitions(client: &Client) -> Known<BTreeMap<String, CustomResourceDefinition>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut found = BTreeMap::new();
    for ours in penstock_crds::definitions() {
        if let Some(definition) = api.get_opt(&ours.name_any()).await? {
            found.insert(definition.name_any(), definition);
        }
    }
    Ok(found)
}

/// Through the API server, so that no port has to be forwarded.
async fn ask(client: &Client, namespace: &str, service: &str, path: &str) -> Known<String> {
    let path = format!("/api/v1/namespaces/{namespace}/services/{service}:{API_PORT}/proxy{path}");
    let request =
        http::Request::get(path).body(Vec::new()).map_err(|error| Unknown::Failed(error.to_string()))?;
    Ok(client.request_text(request).await?)
}

async fn health(client: &Client, namespace: &str, service: &str) -> Known<Health> {
    let text = ask(client, namespace, service, "/health").await?;
    serde_json::from_str(&text)
        .map_err(|error| Unknown::Failed(format!("its answer is not understood: {error}")))
}

/// `/readyz` answers 503 with its reason, which arrives as a failed request.
async fn ready(client: &Client, namespace: &str, service: &str) -> Known<Result<(), String>> {
    match ask(client, namespace, service, "/readyz").await {
        Ok(_) => Ok(Ok(())),
        Err(Unknown::Failed(reason)) => Ok(Err(reason)),
        Err(unknown) => Err(unknown),
    }
}

async fn authority(client: &Client, namespace: &str, name: &str) -> Known<Authority> {
    let secret: Secret = get(Api::namespaced(client.clone(), namespace), name).await?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
    let data = secret.data.into_iter().flatten().map(|(key, value)| (key, Hidden::new(text(value.0))));
    let read = authority::Authority::from_secret(&data.collect());
    let authority = read.map_err(|error| Unknown::Failed(chain(&error)))?;
    Ok(Authority { bundle: authority.bundle(), ends: authority.signing.certificate.ends })
}

async fn bundles(client: &Client, name: &str) -> Known<BTreeMap<String, String>> {
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let found: Vec<ConfigMap> = list(Api::all(client.clone()), named).await?;
    let bundle = |map: ConfigMap| {
        let namespace = map.namespace()?;
        Some((namespace, map.data.unwrap_or_default().remove("ca.crt").unwrap_or_default()))
    };
    Ok(found.into_iter().filter_map(bundle).collect())
}

async fn endpoints(client: &Client, namespace: &str, service: &str) -> Known<usize> {
    let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices: Vec<EndpointSlice> = list(Api::namespaced(client.clone(), namespace), of).await?;
    let is_ready = |ready: Option<bool>| ready.unwrap_or(true);
    let all = slices.into_iter().flat_map(|slice| slice.endpoints);
    Ok(all.filter(|endpoint| is_ready(endpoint.conditions.as_ref().and_then(|is| is.ready))).count())
}

async fn labelled(client: &Client) -> Known<BTreeMap<String, Vec<PodSeen>>> {
    let wanting = ListParams::default().labels(&format!("{}=true", names::INJECT));
    let mut all = BTreeMap::new();
    for namespace in list::<Namespace>(Api::all(client.clone()), wanting).await? {
        let name = namespace.name_any();
        let pods = list::<Pod>(Api::namespaced(client.clone(), &name), ListParams::default()).await?;
        all.insert(name, pods.iter().filter(|pod| !has_ended(pod)).map(seen).collect());
    }
    Ok(all)
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) || pod.metadata.deletion_timestamp.is_some()
}

fn seen(pod: &Pod) -> PodSeen {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten();
    let beside = spec.map(|spec| &spec.containers).into_iter().flatten();
    PodSeen {
        name: pod.name_any(),
        opted_out: pod.labels().get(names::INJECT).is_some_and(|value| value == "false"),
        has_sidecar: init.chain(beside).any(|container| container.name == names::CONTAINER),
        injected: pod.annotations().get(names::INJECTED).cloned(),
    }
}

async fn accounts(client: &Client) -> Known<Vec<penstock_crds::ProviderAccount>> {
    list(Api::all(client.clone()), ListParams::default()).await
}
