//! What people set through the management API.

use std::collections::BTreeMap;

use kube::Client;
use penstock_controller::cluster::{Cluster, WriteError};
use penstock_crds::{Provider, ProviderAccount, ProviderAccountSpec};
use penstock_proto::secret::Secret;

use super::replica::Replica;
use super::{Secrets, id, secrets, with_replica};

fn new_account(namespace: &str, name: &str) -> ProviderAccount {
    let mut account = ProviderAccount::new(name, ProviderAccountSpec::new(Provider::Anthropic, Some(name)));
    account.metadata.namespace = Some(namespace.to_owned());
    account
}

fn key(value: &str) -> BTreeMap<String, Secret> {
    BTreeMap::from([("apiKey".to_owned(), Secret::new(value))])
}

fn held_key(cluster: &Cluster, namespace: &str, name: &str) -> Option<String> {
    let objects = cluster.objects();
    let objects = objects.borrow();
    Some(objects.secrets.get(&id(namespace, name))?.data.get("apiKey")?.expose().to_owned())
}

#[tokio::test]
async fn an_account_is_created_changed_and_deleted_with_its_secret() {
    with_replica(Secrets::Allowed, async |client: &Client, namespace: &str, replica: &Replica| {
        let (cluster, a) = (&replica.cluster, id(namespace, "a"));
        cluster.create_account(new_account(namespace, "a"), key("sk-1")).await.unwrap();
        assert_eq!(held_key(cluster, namespace, "a").as_deref(), Some("sk-1"), "in force when it returns");
        let again = cluster.create_account(new_account(namespace, "a"), BTreeMap::new()).await;
        assert!(matches!(again, Err(WriteError::Exists { .. })), "{again:?}");

        let priority = |priority: u8| -> penstock_controller::cluster::SpecChange {
            Box::new(move |spec: &mut ProviderAccountSpec| spec.priority = priority)
        };
        cluster.change_account(&a, priority(7), Some(key("sk-2"))).await.unwrap();
        assert_eq!(held_key(cluster, namespace, "a").as_deref(), Some("sk-2"));
        assert_eq!(cluster.objects().borrow().accounts[&a].spec.priority, 7);
        let invalid = cluster.change_account(&a, priority(101), None).await;
        let Err(WriteError::Invalid { reasons }) = invalid else { panic!("{invalid:?}") };
        assert!(reasons[0].contains("spec.priority"), "{reasons:?}");

        cluster.delete_account(&a).await.unwrap();
        assert!(cluster.objects().borrow().accounts.is_empty());
        assert!(secrets(client, namespace).get_opt("a").await.unwrap().is_none());
        let gone = cluster.delete_account(&a).await;
        assert!(matches!(gone, Err(WriteError::NotFound { .. })), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_made() {
    with_replica(Secrets::Allowed, async |_: &Client, namespace: &str, replica: &Replica| {
        let (cluster, a) = (&replica.cluster, id(namespace, "a"));
        cluster.create_account(new_account(namespace, "a"), key("sk-1")).await.unwrap();
        let paused = cluster.change_account(&a, Box::new(|spec| spec.paused = true), None);
        let priority = cluster.change_account(&a, Box::new(|spec| spec.priority = 9), None);
        let (paused, priority) = tokio::join!(paused, priority);
        paused.unwrap();
        priority.unwrap();
        let both = |objects: &penstock_controller_core::objects::Objects| {
            let spec = &objects.accounts[&a].spec;
            spec.paused && spec.priority == 9
        };
        replica.objects("both changes", both).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_controller_may_not_write_is_said() {
    with_replica(Secrets::Forbidden, async |_: &Client, namespace: &str, replica: &Replica| {
        let refused = replica.cluster.create_account(new_account(namespace, "a"), key("sk-1")).await;
        let Err(error @ WriteError::Forbidden { .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains(&format!("Secret {namespace}/a")), "{error}");
    })
    .await;
}
