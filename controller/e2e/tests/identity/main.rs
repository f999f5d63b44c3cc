//! Trust, on a real API server: who proxies and callers are, and the controller's own authority. Each part has
//! only the rights that its table says.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod programs;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt};
use penstock_controller::certificates::Certificates;
use penstock_controller::certificates::distribute::Distribution;
use penstock_controller::certificates::keeper::Keeper;
use penstock_controller::grpc::Identity;
use penstock_controller::grpc::identity::Peer;
use penstock_controller::grpc::identity::review::Reviews;
use penstock_controller::issuer;
use penstock_controller::leader::Election;
use penstock_controller::metrics::{Asked, Metrics};
use penstock_controller::own_secret::OwnSecret;
use penstock_controller::proxies::Registry;
use penstock_controller::reconcile::{self, Clock};
use penstock_controller::tokens::shared_token;
use penstock_controller_core::identity::{Gateways, Workload};
use penstock_controller_core::objects::Objects;
use penstock_controller_core::snapshot::Viewer;
use penstock_e2e::api_server::Token;
use penstock_e2e::namespace::create;
use penstock_e2e::wait::{PATIENCE, await_condition};
use penstock_e2e::{ApiServer, with_temp_ns};
use penstock_proto::resource::Resource;
use penstock_proxy_core::authenticate::token::Issuers;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::metadata::MetadataMap;

fn real_time() -> Clock {
    Arc::new(Timestamp::now)
}

/// A client of a ServiceAccount that has these rights, in `scope` or everywhere.
async fn with_rights(server: &ApiServer, namespace: &str, scope: Option<&str>, rules: Value) -> Client {
    let client = server.client();
    let name = format!("{namespace}-{}", scope.unwrap_or("everywhere"));
    let kind = if scope.is_some() { "Role" } else { "ClusterRole" };
    let api = "rbac.authorization.k8s.io/v1";
    let metadata = json!({"name": name, "namespace": scope});
    let role = json!({"apiVersion": api, "kind": kind, "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": api, "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "controller", "namespace": namespace}],
    });
    for object in [role, binding] {
        let kind = object["kind"].as_str().unwrap().to_lowercase() + "s";
        let scope = scope.map(|scope| format!("/namespaces/{scope}")).unwrap_or_default();
        let path = format!("/apis/{api}{scope}/{kind}");
        let request = http::Request::post(path).header("content-type", "application/json");
        client.request_text(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
    }
    server.client_as(namespace, "controller").await.unwrap()
}

async fn ask(identity: &Identity, token: &str) -> Result<Peer, Code> {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    identity.authenticate(&metadata).await.map_err(|status| status.code())
}

async fn pod(client: &Client, namespace: &str, name: &str) {
    let pod = json!({
        "metadata": {"name": name},
        "spec": {"serviceAccountName": "app", "containers": [{"name": "c", "image": "registry.test/none:1"}]},
    });
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
}

fn reviews() -> Value {
    json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}])
}

#[tokio::test]
async fn a_proxy_is_who_its_token_says_and_only_with_a_token_for_us() {
    let server = ApiServer::shared().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let controller = with_rights(server, namespace, None, reviews()).await;
        let gateways = Gateways::parse([format!("{namespace}/gateway").as_str()]).unwrap();
        let reviews = Reviews::of_cluster(controller, gateways, real_time(), Asked::default());
        let identity = Identity::TokenReview(Arc::new(reviews));
        pod(&client, namespace, "web-1").await;

        let token = async |service_account, audience, pod| {
            server.token(Token { namespace, service_account, audience, pod }).await.unwrap()
        };
        let sidecar = ask(&identity, &token("app", "penstock", Some("web-1")).await).await.unwrap();
        let workload = Workload {
            namespace: namespace.to_owned(),
            service_account: "app".to_owned(),
            pod: "web-1".to_owned(),
        };
        let viewer = Viewer::Namespaces([namespace.to_owned()].into());
        assert_eq!(sidecar, Peer { viewer, workload: Some(workload) });
        let gateway = ask(&identity, &token("gateway", "penstock", None).await).await.unwrap();
        assert_eq!(gateway.viewer, Viewer::All);

        let others =
            [token("app", "", None).await, token("app", "vault", None).await, "made.up.x".to_owned()];
        for token in others {
            assert_eq!(ask(&identity, &token).await, Err(Code::Unauthenticated));
        }
    })
    .await;
}

#[tokio::test]
async fn while_the_api_server_is_away_known_proxies_stay_known() {
    let mut server = ApiServer::start().await.unwrap();
    let namespace = create(&server.client()).await.unwrap();
    let token = async |service_account| {
        let wanted = Token { namespace: &namespace, service_account, audience: "penstock", pod: None };
        server.token(wanted).await.unwrap()
    };
    let (known, unknown) = (token("known").await, token("unknown").await);
    let minutes = Arc::new(AtomicI64::new(0));
    let passed = Arc::clone(&minutes);
    let clock: Clock =
        Arc::new(move || Timestamp::now() + SignedDuration::from_mins(passed.load(Ordering::Relaxed)));
    let identity = Identity::TokenReview(Arc::new(Reviews::of_cluster(
        server.client(),
        Gateways::default(),
        clock,
        Asked::default(),
    )));
    ask(&identity, &known).await.unwrap();
    server.stop();
    minutes.store(30, Ordering::Relaxed);
    assert!(ask(&identity, &known).await.is_ok(), "its review is old, and nobody gives a newer one");
    assert_eq!(ask(&identity, &unknown).await, Err(Code::Unavailable));
    minutes.store(61, Ordering::Relaxed);
    assert_eq!(ask(&identity, &known).await, Err(Code::Unavailable), "it has ended");
    server.restart().await.unwrap();
    assert!(ask(&identity, &unknown).await.is_ok());
}

#[tokio::test]
async fn what_a_gateway_is_told_verifies_the_tokens_of_its_callers() {
    let server = ApiServer::shared().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let paths = ["/.well-known/openid-configuration", "/openid/v1/jwks"];
        let rules = json!([{"nonResourceURLs": paths, "verbs": ["get"]}]);
        let controller = with_rights(server, namespace, None, rules).await;
        let (_objects, objects) = watch::channel(Arc::<Objects>::default());
        let (reconciler, deciding) =
            reconcile::channel(objects, Registry::default(), real_time(), Metrics::new().reconcile);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(deciding.run(stop.clone()));
        tasks.spawn(issuer::run(controller, reconciler.clone(), stop.clone()));
        let mut plans = reconciler.plan();
        let plan = plans.wait_for(|plan| !plan.resources.is_empty()).await.unwrap().clone();
        let pushed = plan.resources.values().filter_map(|versioned| match &versioned.resource {
            Resource::TokenIssuer(issuer) => Some((issuer.issuer.clone(), Arc::clone(issuer))),
            _ => None,
        });
        let issuers = Issuers::new(&pushed.collect());

        pod(&client, namespace, "web-1").await;
        let wanted = Token { namespace, service_account: "app", audience: "penstock", pod: Some("web-1") };
        let token = server.token(wanted).await.unwrap();
        let verified = issuers.verify(&token, Timestamp::now()).unwrap();
        let caller = &verified.identity.caller;
        let said = (caller.namespace.as_str(), caller.service_account.as_str(), caller.pod.as_str());
        assert_eq!(said, (namespace, "app", "web-1"));
        let other = server.token(Token { audience: "", ..wanted }).await.unwrap();
        assert!(issuers.verify(&other, Timestamp::now()).is_err(), "meant for the API server");
        stop.cancel();
        while tasks.join_next().await.is_some() {}
    })
    .await;
}

#[tokio::test]
async fn all_replicas_share_one_authority_and_one_admin_token_and_the_leader_replaces_the_authority() {
    let server = ApiServer::shared().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let named = ["penstock-ca", "penstock-admin-token"];
        let rules = json!([
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": named, "verbs": ["get", "update"]},
        ]);
        let controller = with_rights(server, namespace, Some(namespace), rules).await;
        let days = Arc::new(AtomicI64::new(0));
        let passed = Arc::clone(&days);
        let clock: Clock = Arc::new(move || {
            Timestamp::now() + SignedDuration::from_hours(24 * passed.load(Ordering::Relaxed))
        });
        let keeper = || Keeper::new(controller.clone(), namespace, "penstock", Arc::clone(&clock));
        let (one, other) = (keeper(), keeper());
        let (opened, again) = tokio::join!(one.open(), other.open());
        let first = opened.unwrap();
        assert_eq!(first, again.unwrap());

        let certificates = || Certificates::of(first.clone(), &[], Timestamp::now()).unwrap();
        let (leading, following) = (certificates(), certificates());
        let mut told = following.bundle();
        for today in [245, 255] {
            days.store(today, Ordering::Relaxed);
            one.look(&leading, &Election::Alone).await.unwrap();
            other.look(&following, &Election::Alone).await.unwrap();
            assert!(told.has_changed().unwrap(), "day {today}");
            assert_eq!(*told.borrow_and_update(), *leading.bundle().borrow());
        }
        let replaced = one.open().await.unwrap();
        assert_ne!(replaced.signing.name, first.signing.name);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let data = secrets.get("penstock-ca").await.unwrap().data.unwrap();
        assert_eq!(data["ca.crt"].0, replaced.bundle().into_bytes());

        let token = async || {
            shared_token(&OwnSecret::new(controller.clone(), namespace, "penstock-admin-token")).await
        };
        let (one, other) = tokio::join!(token(), token());
        assert_eq!(one.unwrap(), other.unwrap());
    })
    .await;
}

/// The namespaces of the cluster, as the controller watches them.
fn objects(namespaces: &[&str]) -> Arc<Objects> {
    let namespaces = namespaces.iter().map(|name| ((*name).to_owned(), [].into()));
    Arc::new(Objects { namespaces: namespaces.collect(), ..Objects::default() })
}

fn holds(pem: &str) -> impl Fn(Option<&ConfigMap>) -> bool {
    move |map| map.is_some_and(|map| map.data.as_ref().is_some_and(|data| data["ca.crt"] == pem))
}

#[tokio::test]
async fn every_namespace_is_told_which_authority_to_trust() {
    let server = ApiServer::shared().await;
    let client = server.client();
    with_temp_ns(&client, async |own: &str| {
        let name = "penstock-ca";
        let rules = json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["list", "patch"]},
        ]);
        let controller = with_rights(server, own, None, rules).await;
        let (one, late, going) =
            (create(&client).await.unwrap(), create(&client).await.unwrap(), create(&client).await.unwrap());
        // Nothing finishes the deletion here: it stays as it is while it goes.
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.delete(&going, &DeleteParams::background()).await.unwrap();

        let (bundle, told) = watch::channel(Arc::<str>::from("first"));
        let (cluster, watched) = watch::channel(objects(&[own, &one, &going, "kube-system"]));
        let distribution = Distribution {
            client: controller,
            name: name.to_owned(),
            namespaces: BTreeSet::new(),
            own_namespace: own.to_owned(),
        };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(distribution.run(told, watched, Election::Alone, stop.clone()));
        let maps = |namespace: &str| Api::<ConfigMap>::namespaced(client.clone(), namespace);
        for namespace in [own, one.as_str()] {
            await_condition(&maps(namespace), name, holds("first"), PATIENCE).await.unwrap();
        }
        let written = maps(&one).get(name).await.unwrap();
        assert_eq!(written.labels()["app.kubernetes.io/managed-by"], "penstock");

        cluster.send_replace(objects(&[own, &one, &late, &going, "kube-system"]));
        await_condition(&maps(&late), name, holds("first"), PATIENCE).await.unwrap();
        let untouched = maps(&one).get(name).await.unwrap();
        assert_eq!(untouched.resource_version(), written.resource_version(), "what is right is not written");

        bundle.send_replace("second".into());
        for namespace in [own, one.as_str(), late.as_str()] {
            await_condition(&maps(namespace), name, holds("second"), PATIENCE).await.unwrap();
        }
        assert!(maps("kube-system").get_opt(name).await.unwrap().is_none());
        stop.cancel();
        while tasks.join_next().await.is_some() {}
        for namespace in [one, late] {
            namespaces.delete(&namespace, &DeleteParams::background()).await.unwrap();
        }
    })
    .await;
}
