//! Proxies of a cluster: each proves who it is, and sees what that may use, whatever it says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use penstock_controller::grpc::Identity;
use penstock_controller::grpc::identity::review::{Reviewer, Reviews};
use penstock_controller::ingest::Ingest;
use penstock_controller::metrics::Asked;
use penstock_controller::store::Store;
use penstock_controller::store::embedded::Embedded;
use penstock_controller::store::row::CallerRow;
use penstock_controller_core::identity::Gateways;
use penstock_controller_core::objects::{Objects, SecretObject};
use penstock_proto::event::{Attempt, Caller, Event};
use penstock_proto::ids::{ObjectId, ResourceKey, ResourceKind};
use penstock_proto::issuer::{IssuerKey, PublicKey, RsaHash, TokenIssuer};
use penstock_proto::peer::ProxyIdentity;
use penstock_proto::secret::Secret;
use penstock_proto::wire;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::harness::{Controller, Subscription, ingest_into};

/// Says of the token `namespace/name` that it is that ServiceAccount's.
struct Cluster;

impl Reviewer for Cluster {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenReviewStatus, anyhow::Error>> {
        let answer = match token.split_once('/') {
            _ if token == "api server away" => Err(anyhow::anyhow!("connection refused")),
            Some(("other-audience", _)) | None => Ok(TokenReviewStatus::default()),
            Some((namespace, name)) => Ok(serde_json::from_value(json!({
                "authenticated": true, "audiences": ["penstock"],
                "user": {
                    "username": format!("system:serviceaccount:{namespace}:{name}"),
                    "extra": {"authentication.kubernetes.io/pod-name": [format!("{name}-1")]},
                },
            }))
            .unwrap()),
        };
        std::future::ready(answer).boxed()
    }
}

fn oid(id: &str) -> ObjectId {
    id.parse().unwrap()
}

/// `llm/own` for its namespace, `llm/shared` for all, `search/own` for its namespace; `poor` has nothing.
fn objects() -> Objects {
    let mut objects = Objects::default();
    for (id, from) in [("llm/own", "Same"), ("llm/shared", "All"), ("search/own", "Same")] {
        let id = oid(id);
        let account = json!({
            "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount",
            "metadata": {"name": id.name(), "namespace": id.namespace()},
            "spec": {
                "provider": "anthropic", "credentials": {"secretRef": {"name": id.name()}},
                "allowedNamespaces": {"from": from},
            },
        });
        objects.accounts.insert(id.clone(), Arc::new(serde_json::from_value(account).unwrap()));
        let data = BTreeMap::from([("apiKey".to_owned(), Secret::new(format!("sk-{id}")))]);
        objects.secrets.insert(id, Arc::new(SecretObject { data, ..SecretObject::default() }));
    }
    for namespace in ["llm", "search", "poor"] {
        objects.namespaces.insert(namespace.to_owned(), BTreeMap::new());
    }
    objects
}

async fn controller_with(ingest: Ingest, age: Duration) -> Controller {
    let gateways = Gateways::parse(["system/gateway"]).unwrap();
    let reviews = Reviews::new(Box::new(Cluster), gateways, Arc::new(Timestamp::now), Asked::default());
    let identity = Identity::TokenReview(Arc::new(reviews));
    Controller::of(identity, objects(), ingest, |grpc| grpc.with_stream_age(age)).await
}

async fn controller() -> Controller {
    let (ingest, _) = ingest_into(&"host=/nowhere user=nobody".parse().unwrap());
    controller_with(ingest, Duration::from_hours(1)).await
}

/// Subscribes with a token, claiming to be of another namespace and to hold what is not its own.
async fn subscribe(controller: &Controller, token: &str) -> Subscription {
    let claimed = ProxyIdentity {
        id: "proxy-1".into(),
        namespace: "llm".into(),
        pod: "somebody-else".into(),
        role: "gateway".into(),
        ..ProxyIdentity::default()
    };
    let key = |kind| ResourceKey { kind, name: "llm/own".to_owned() };
    let held = [ResourceKind::Account, ResourceKind::AccountState].map(|kind| (key(kind), "x".to_owned()));
    controller.try_subscribe_as(&claimed, token, held.into()).await.unwrap()
}

/// The accounts and pools that it holds once it holds everything, and every credential that it was sent.
async fn seen(proxy: &mut Subscription) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    let mut secrets = BTreeSet::new();
    loop {
        let update = proxy.push().await;
        for resource in update.changed {
            if let Some(wire::resource::Body::Account(account)) = resource.body {
                secrets.insert(account.credential.unwrap().secret);
            }
        }
        if update.complete {
            break;
        }
    }
    let names = |kind| {
        proxy.held.keys().filter(|key| key.kind == kind).map(|key| key.name.clone()).collect::<BTreeSet<_>>()
    };
    (names(ResourceKind::Account), names(ResourceKind::Pool), secrets)
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn a_sidecar_gets_what_its_namespace_may_use_and_nothing_else_whatever_it_says() {
    let controller = controller().await;
    let mut sidecar = subscribe(&controller, "search/crawler").await;
    let (accounts, pools, secrets) = seen(&mut sidecar).await;
    assert_eq!(accounts, set(["llm/shared", "search/own"]));
    assert_eq!(pools, set(["search/default"]));
    assert_eq!(secrets, set(["sk-llm/shared", "sk-search/own"]));
    let shown = controller.proxy(|_| true).await.identity;
    assert_eq!(
        (shown.namespace.as_str(), shown.pod.as_str(), shown.role.as_str()),
        ("search", "crawler-1", "sidecar"),
        "shown as what it proved"
    );
}

#[tokio::test]
async fn a_namespace_without_any_object_has_a_pool_of_what_is_open_to_it() {
    let controller = controller().await;
    let (accounts, pools, _) = seen(&mut subscribe(&controller, "poor/web").await).await;
    assert_eq!((accounts, pools), (set(["llm/shared"]), set(["poor/default"])));
    let (accounts, pools, secrets) = seen(&mut subscribe(&controller, "unwatched/web").await).await;
    assert!(accounts.is_empty() && pools.is_empty() && secrets.is_empty(), "and it is complete all the same");
}

#[tokio::test]
async fn a_gateway_gets_every_pool_and_who_signs_its_callers_tokens() {
    let controller = controller().await;
    let key = PublicKey::Rsa { hash: RsaHash::Sha256, modulus: vec![7; 256], exponent: vec![1, 0, 1] };
    let issuer = TokenIssuer {
        issuer: "https://cluster".into(),
        audience: "penstock".into(),
        keys: vec![IssuerKey { id: "k".into(), key }],
    };
    controller.reconciler.set_issuer(issuer).await;
    let issuers =
        |proxy: &Subscription| proxy.held.keys().filter(|key| key.kind == ResourceKind::TokenIssuer).count();
    let has_issuer = |plan: &Arc<penstock_controller_core::Plan>| {
        plan.resources.keys().any(|key| key.kind == ResourceKind::TokenIssuer)
    };
    controller.reconciler.plan().wait_for(has_issuer).await.unwrap();
    let mut gateway = subscribe(&controller, "system/gateway").await;
    let (accounts, pools, _) = seen(&mut gateway).await;
    assert_eq!(accounts, set(["llm/own", "llm/shared", "search/own"]));
    assert_eq!(pools, set(["llm/default", "poor/default", "search/default"]));
    assert_eq!(issuers(&gateway), 1);
    let mut sidecar = subscribe(&controller, "search/gateway").await;
    seen(&mut sidecar).await;
    assert_eq!(issuers(&sidecar), 0, "the same name in another namespace is no gateway");
}

#[tokio::test]
async fn whoever_proves_nothing_is_refused_and_whoever_cannot_be_checked_may_try_again() {
    let controller = controller().await;
    for (token, code) in [
        ("other-audience/crawler", Code::Unauthenticated),
        ("made up", Code::Unauthenticated),
        ("", Code::Unauthenticated),
        ("api server away", Code::Unavailable),
    ] {
        let status = controller.try_subscribe(token, BTreeMap::new()).await.map(drop).unwrap_err();
        assert_eq!(status.code(), code, "{token}: {status}");
    }
}

#[tokio::test]
async fn a_stream_that_is_old_enough_ends_without_an_error_and_its_proxy_comes_back() {
    let (ingest, _) = ingest_into(&"host=/nowhere user=nobody".parse().unwrap());
    let controller = controller_with(ingest, Duration::from_millis(50)).await;
    let mut sidecar = subscribe(&controller, "search/crawler").await;
    seen(&mut sidecar).await;
    assert!(sidecar.end().await.is_none());
    let held = sidecar.held;
    let mut again = controller.try_subscribe("search/crawler", held).await.unwrap();
    let update = again.push().await;
    assert!(update.complete && update.changed.is_empty() && update.removed.is_empty(), "nothing was lost");
}

#[tokio::test]
async fn a_sidecar_s_history_is_its_own_pod_s_and_a_gateway_s_is_anybody_s() {
    let data = tempfile::tempdir().unwrap();
    let postgres = Embedded::start(data.path()).await.unwrap();
    let store = Store::new(&postgres.connection()).unwrap();
    store.migrate().await.unwrap();
    let (ingest, ingester) = ingest_into(&postgres.connection());
    let stop = CancellationToken::new();
    let mut history = JoinSet::new();
    history.spawn(ingester.run(stop.clone()));
    let controller = controller_with(ingest, Duration::from_hours(1)).await;

    let caller =
        Caller { namespace: "llm".into(), pod: "a".into(), service_account: "b".into(), key: String::new() };
    let made_up = || Event {
        caller: caller.clone(),
        account: Some(oid("llm/own")),
        pool: Some(oid("llm/default")),
        attempts: vec![Attempt {
            account: oid("llm/own"),
            outcome: "success".into(),
            status: 200,
            duration_ms: 1,
            model: "m".into(),
        }],
        ..super::event()
    };
    let (by_sidecar, by_gateway) = (made_up(), made_up());
    for (token, event) in [("search/crawler", &by_sidecar), ("system/gateway", &by_gateway)] {
        let mut reporting = controller.report_as(token).await;
        let batch = wire::EventBatch { batch_id: 1, events: vec![event.to_bytes().into()] };
        let message = Some(wire::report_request::Message::Events(batch));
        reporting.say.send(wire::ReportRequest { message }).await.unwrap();
        reporting.answers.message().await.unwrap().unwrap();
    }
    let own = store.request(by_sidecar.id).await.unwrap().unwrap();
    let said = |row: &CallerRow| [&row.namespace, &row.service_account, &row.pod].map(Clone::clone);
    assert_eq!(said(&own.caller), ["search", "crawler", "crawler-1"]);
    assert!(own.account.is_empty() && own.attempts.is_empty(), "it cannot spend another's budget");
    assert!(own.warnings.iter().any(|warning| warning.contains("llm/own")), "{:?}", own.warnings);
    let others = store.request(by_gateway.id).await.unwrap().unwrap();
    assert_eq!(said(&others.caller), ["llm", "b", "a"]);
    assert_eq!(others.account, "llm/own");

    stop.cancel();
    while history.join_next().await.is_some() {}
    let stopped = CancellationToken::new();
    stopped.cancel();
    postgres.run(stopped).await;
}
