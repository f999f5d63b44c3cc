//! What is in the cluster is in force, and what cannot be is said with what to do.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use penstock_controller::cluster::kubernetes::{Kubernetes, client};
use penstock_controller::config::InCluster;
use penstock_controller::metrics::ClusterMetrics;
use penstock_controller_core::Plan;
use penstock_controller_core::price::PriceTable;
use penstock_crds::account::status::State;
use penstock_e2e::{ApiServer, with_temp_ns};
use penstock_proto::usage::Usage;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::replica::{Replica, credential, in_namespace};
use super::{Secrets, account, accounts, apply, create, id, rights, secret, secrets, server, with_replica};

#[tokio::test]
async fn objects_come_into_force_change_and_go() {
    with_replica(Secrets::Allowed, async |client: &Client, namespace: &str, replica: &Replica| {
        let a = id(namespace, "a");
        account(client, namespace, "a").await;
        let plan = replica.plan("the account", |plan| plan.accounts.contains_key(&a)).await;
        assert_eq!(credential(&plan, &a).as_deref(), Some("sk-a"), "it came with its Secret, not before");
        apply(client, namespace, "AccountPool", "p", &json!({"accounts": {"refs": [{"name": "a"}]}})).await;
        replica
            .plan("the pool", |plan| plan.pools.get(&id(namespace, "p")).is_some_and(|p| p.accounts == 1))
            .await;

        accounts(client, namespace).delete("a", &DeleteParams::default()).await.unwrap();
        replica
            .plan("its end", |plan| plan.pools.get(&id(namespace, "p")).is_some_and(|p| p.accounts == 0))
            .await;
        let objects = replica.objects("without its Secret", |objects| objects.secrets.is_empty()).await;
        assert!(objects.accounts.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_comes_later_and_one_that_is_rotated_are_in_force_at_once() {
    with_replica(Secrets::Allowed, async |client: &Client, namespace: &str, replica: &Replica| {
        let a = id(namespace, "a");
        let spec = json!({"provider": "anthropic", "credentials": {"secretRef": {"name": "a"}}});
        apply(client, namespace, "ProviderAccount", "a", &spec).await;
        replica.account_is(&a, State::Invalid).await;
        for key in ["sk-first", "sk-second"] {
            let began = Instant::now();
            secret(client, namespace, "a", key).await;
            replica.plan(key, |plan| credential(plan, &a).as_deref() == Some(key)).await;
            println!("{key} was in force after {:?}", began.elapsed());
        }
        secrets(client, namespace).delete("a", &DeleteParams::default()).await.unwrap();
        replica.account_is(&a, State::Invalid).await;
    })
    .await;
}

#[tokio::test]
async fn a_whole_cluster_is_watched_with_the_labels_of_its_namespaces() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |own: &str| {
        with_temp_ns(&client, async |other: &str| {
            let config = rights::everywhere(server, own).await;
            let settings = in_namespace(own, "one");
            let settings = InCluster { namespaces: [].into(), ..settings };
            secret(&client, own, "a", "sk-a").await;
            let spec = json!({
                "provider": "anthropic", "credentials": {"secretRef": {"name": "a"}},
                "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": own}}},
            });
            apply(&client, own, "ProviderAccount", "a", &spec).await;
            let replica = Replica::start(config, settings).await;
            let may =
                |plan: &Plan| plan.usable.get(other).is_some_and(|usable| usable.contains(&id(own, "a")));
            assert!(!may(&replica.reconciler.plan().borrow()));
            let labels = json!({"metadata": {"labels": {"team": own}}});
            let namespaces = Api::<Namespace>::all(client.clone());
            namespaces.patch(other, &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
            replica.plan("the label", |plan| may(plan)).await;
            replica.stop().await;
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_namespace_whose_secrets_may_not_be_read_is_said_to_be_one() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        account(&client, namespace, "a").await;
        let config = rights::in_one_namespace(server, namespace, false).await;
        let replica = Replica::start(config, in_namespace(namespace, "one")).await;
        replica.account_is(&id(namespace, "a"), State::Invalid).await;
        let plan = replica.reconciler.plan().borrow().clone();
        let status = &plan.accounts[&id(namespace, "a")];
        assert_eq!(status.reason.as_deref(), Some("SecretForbidden"), "{status:?}");
        let problems = replica.cluster.problems();
        let problem = problems.borrow().first().cloned().expect("a problem");
        assert_eq!(problem.file, format!("Secrets in namespace {namespace}"));
        assert!(problem.message.contains("secrets is forbidden"), "{problem}");
        replica.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_start_waits_for_the_kinds_and_says_so() {
    let server = ApiServer::start().await.unwrap();
    let starting = Replica::start(server.config().clone(), in_namespace("default", "one"));
    let installing = async {
        let client = client::client_of(server.config().clone()).unwrap();
        let kubernetes = Kubernetes::new(
            client,
            in_namespace("default", "two"),
            PriceTable::default(),
            ClusterMetrics::default(),
        );
        let mut waits_for = kubernetes.waits_for();
        let says = |all: &Option<Vec<String>>| {
            all.iter().flatten().any(|one| one.contains("kubectl apply -f crds/"))
        };
        tokio::select! {
            () = Arc::clone(&kubernetes).watch(CancellationToken::new()) => unreachable!("it watches on"),
            said = waits_for.wait_for(says) => drop(said.unwrap()),
        }
        server.apply_crds().await.unwrap();
    };
    let (replica, ()) = tokio::join!(starting, installing);
    account(&server.client(), "default", "a").await;
    replica.account_is(&id("default", "a"), State::Available).await;
    replica.stop().await;
}

#[tokio::test]
async fn prices_are_taken_from_a_config_map_and_a_mistake_in_it_is_a_problem() {
    with_replica(Secrets::Allowed, async |client: &Client, namespace: &str, replica: &Replica| {
        let set = async |text: &str| {
            let prices = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "penstock-prices"},
                "data": {"prices.json": text},
            });
            let config_maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
            let params = PatchParams::apply("test").force();
            config_maps.patch("penstock-prices", &params, &Patch::Apply(&prices)).await.unwrap();
        };
        let usage = Usage { input_tokens: 1_000_000, ..Usage::default() };
        set(r#"{"anthropic": {"claude-ours": {"input": 7, "output": 9}}}"#).await;
        let mut prices = replica.cluster.prices();
        prices.wait_for(|table| table.cost("anthropic", "claude-ours", &usage).is_some()).await.unwrap();
        set("{").await;
        replica.cluster.problems().wait_for(|problems| !problems.is_empty()).await.unwrap();
        assert!(prices.borrow().cost("anthropic", "claude-ours", &usage).is_some(), "as they were");
        set("{}").await;
        replica.cluster.problems().wait_for(|problems| problems.is_empty()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_certificate_authority_is_read_from_its_config_map() {
    with_replica(Secrets::Allowed, async |client: &Client, namespace: &str, replica: &Replica| {
        let spec = json!({
            "provider": "ollama", "baseUrl": "https://ollama.test",
            "egress": {"caBundle": {"configMapRef": {"name": "ca"}}},
        });
        apply(client, namespace, "ProviderAccount", "a", &spec).await;
        let a = id(namespace, "a");
        replica.account_is(&a, State::Invalid).await;
        let ca = json!({"metadata": {"name": "ca"}, "data": {"ca.crt": "PEM"}});
        create::<ConfigMap>(client, namespace, ca).await;
        replica.account_is(&a, State::Available).await;
    })
    .await;
}
