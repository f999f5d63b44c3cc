//! Who may call: workloads of a cluster by their tokens at a gateway, a sidecar's own pod without one.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use penstock_proto::event::Caller;
use penstock_proto::issuer::{Curve, IssuerKey, PublicKey, TokenIssuer};
use penstock_proto::snapshot::Snapshot;
use penstock_proxy::config::{Config, Role};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use crate::support::*;

/// The API server of a cluster, as far as it signs tokens.
struct Cluster(EcdsaKeyPair);

impl Cluster {
    fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap())
    }

    /// A token of the pod `web-1` that runs as `web` in this namespace, for `seconds` from now.
    fn token(&self, namespace: &str, audience: &str, seconds: i64) -> String {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({
            "iss": "https://cluster", "aud": [audience], "sub": format!("system:serviceaccount:{namespace}:web"),
            "exp": Timestamp::now().as_second() + seconds,
            "kubernetes.io": {"namespace": namespace, "pod": {"name": "web-1"}},
        });
        let signed = format!("{}.{}", part(json!({"alg": "ES256", "kid": "k"})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A gateway of the cluster, with one account, that of the namespace `default`.
    async fn gateway(&self, provider: &Provider) -> Proxy {
        let accounts = vec![account("a", provider, 0)];
        let pool = pool(&accounts);
        let point = self.0.public_key().as_ref().to_vec();
        let key = IssuerKey { id: "k".into(), key: PublicKey::Ec { curve: Curve::P256, point } };
        let issuer =
            TokenIssuer { issuer: "https://cluster".into(), audience: "penstock".into(), keys: vec![key] };
        let issuers = [(issuer.issuer.clone(), Arc::new(issuer))].into();
        let snapshot = Snapshot { issuers, ..snapshot(accounts, pool) };
        Proxy::start_in(snapshot, |config: &mut Config| config.role = Role::Gateway).await
    }
}

fn caller(service_account: &str, pod: &str) -> Caller {
    let text = str::to_owned;
    Caller {
        namespace: text("default"),
        pod: text(pod),
        service_account: text(service_account),
        key: text(""),
    }
}

#[tokio::test]
async fn a_pod_calls_a_gateway_with_its_token_which_goes_no_further() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let cluster = Cluster::new();
    let gateway = cluster.gateway(&provider).await;
    let token = cluster.token("default", "penstock", 600);
    for header in [format!("authorization: Bearer {token}\r\n"), format!("x-api-key: {token}\r\n")] {
        assert_eq!(gateway.send(post("/v1/messages", &header, ASK)).await.status, 200);
        let seen = provider.request().await;
        assert!(!seen.headers.iter().any(|(_, value)| value.contains(&token)), "{:?}", seen.headers);
        assert_eq!(seen.values("x-api-key"), ["sk-ant-of-a"]);
        assert_eq!(gateway.event().await.caller, caller("web", "web-1"));
    }
}

#[tokio::test]
async fn whoever_cannot_say_who_it_is_hears_why_in_its_own_dialect() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let (cluster, other) = (Cluster::new(), Cluster::new());
    let gateway = cluster.gateway(&provider).await;
    let bearer = |token: String| format!("authorization: Bearer {token}\r\n");
    let refused = [
        (String::new(), "audience \"penstock\""),
        (bearer(cluster.token("default", "penstock", -60)), "expired"),
        (bearer(cluster.token("default", "vault", 600)), "not for this service"),
        (bearer(other.token("default", "penstock", 600)), "signature"),
        (bearer("sk-ant-api03-made-up".into()), "not known here"),
    ];
    for (header, why) in refused {
        let answer = gateway.send(post("/v1/messages", &header, ASK)).await;
        assert_eq!(answer.status, 401, "{why}");
        assert!(answer.text().contains("authentication_error"), "{}", answer.text());
        assert!(answer.text().replace("\\\"", "\"").contains(why), "{why} in {}", answer.text());
        let answer = gateway.send(post("/v1/chat/completions", &header, ASK)).await;
        assert!(answer.status == 401 && answer.text().contains("invalid_api_key"), "{}", answer.text());
    }
    assert_eq!(provider.waiting(), 0);
}

#[tokio::test]
async fn a_workload_whose_namespace_may_use_no_account_is_told_what_would_help() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let cluster = Cluster::new();
    let gateway = cluster.gateway(&provider).await;
    let header = format!("x-api-key: {}\r\n", cluster.token("poor", "penstock", 600));
    let answer = gateway.send(post("/v1/messages", &header, ASK)).await;
    assert_eq!(answer.status, 403);
    for part in ["permission_error", "namespace poor", "allowedNamespaces"] {
        assert!(answer.text().contains(part), "{part} in {}", answer.text());
    }
}

#[tokio::test]
async fn a_sidecar_serves_its_own_pod_as_that_pod_from_the_pool_it_was_told() {
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let mut mine = pool(&accounts);
    mine.id = "default/mine".parse().unwrap();
    let flags = ["--role", "sidecar", "--pod", "web-7", "--service-account", "web", "--pool", "mine"];
    let told = Config::from_flags(flags).unwrap();
    let sidecar = Proxy::start_with(accounts, mine, |config| {
        let (listen, admin) = (config.listen, config.admin_listen);
        *config = Config { listen, admin_listen: admin, ..told };
    });
    let sidecar = sidecar.await;
    assert_eq!(sidecar.post("/v1/messages", ASK).await.status, 200);
    let event = sidecar.event().await;
    assert_eq!(event.caller, caller("web", "web-7"));
    assert_eq!(event.pool.unwrap().as_str(), "default/mine");
}

#[tokio::test]
async fn a_proxy_without_any_account_is_ready() {
    let nothing = Snapshot { as_of: Some(Timestamp::now()), ..Snapshot::default() };
    let proxy = Proxy::start_in(nothing, |_| {}).await;
    assert_eq!(proxy.admin("/readyz").await.text(), "ok\n");
}
