//! What stands in the objects, and who wrote it.

use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use penstock_crds::ProviderAccount;
use penstock_crds::account::ProviderAccountStatus;
use penstock_crds::account::status::State;
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{await_condition, until, with_temp_ns};
use serde_json::json;

use super::replica::{Replica, in_namespace};
use super::sharing::{limited, used};
use super::{account, accounts, apply, id, rights, server};

fn is(state: State) -> impl Fn(&ProviderAccountStatus) -> bool {
    move |status| status.state == Some(state)
}

async fn status_is(
    client: &Client,
    namespace: &str,
    like: impl Fn(&ProviderAccountStatus) -> bool,
) -> ProviderAccount {
    let like =
        |found: Option<&ProviderAccount>| found.is_some_and(|found| found.status.as_ref().is_some_and(&like));
    await_condition(&accounts(client, namespace), "a", like, PATIENCE).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_status_says_where_an_account_stands_and_leaves_to_others_what_is_theirs() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        account(&client, namespace, "a").await;
        let theirs = json!({
            "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": "a"},
            "status": {"conditions": [{
                "type": "Checked", "status": "True", "reason": "ByHand", "message": "",
                "lastTransitionTime": "2026-11-21T12:00:00Z",
            }]},
        });
        let params = PatchParams::apply("somebody");
        accounts(&client, namespace).patch_status("a", &params, &Patch::Apply(&theirs)).await.unwrap();

        let config = rights::in_one_namespace(server, namespace, true).await;
        let replica = Replica::start(config, in_namespace(namespace, "one")).await;
        replica.until_leads(true).await;
        let found = status_is(&client, namespace, is(State::Available)).await;
        let status = found.status.clone().unwrap();
        assert_eq!(status.observed_generation, found.metadata.generation);
        let conditions: Vec<_> =
            status.conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect();
        let all =
            [("Accepted", "True"), ("Available", "True"), ("Checked", "True"), ("CredentialsValid", "True")];
        let mut sorted = conditions.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, all);
        let ours =
            found.managed_fields().iter().find(|one| one.manager.as_deref() == Some("penstock-controller"));
        let fields = serde_json::to_string(&ours.expect("our name").fields_v1).unwrap();
        assert!(!fields.contains("Checked"), "{fields}");

        replica.reconciler.observe(vec![limited(&id(namespace, "a"), 3_600)]).await;
        let found = status_is(&client, namespace, is(State::Limited)).await;
        assert!(found.status.unwrap().limited_until.is_some());
        let shown = server.kubectl(&["get", "pa", "a", "-n", namespace]).unwrap();
        assert!(shown.contains("Limited"), "{shown}");
        replica.stop().await;
    })
    .await;
}

#[tokio::test]
async fn each_transition_is_one_event_however_many_controllers_there_are() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let config = rights::in_one_namespace(server, namespace, true).await;
        let one = Replica::start(config.clone(), in_namespace(namespace, "one")).await;
        let two = Replica::start(config, in_namespace(namespace, "two")).await;
        account(&client, namespace, "a").await;
        status_is(&client, namespace, is(State::Available)).await;
        two.reconciler.observe(vec![limited(&id(namespace, "a"), 3_600)]).await;
        status_is(&client, namespace, is(State::Limited)).await;
        one.reconciler.forget_limits(id(namespace, "a")).await;
        status_is(&client, namespace, is(State::Available)).await;
        apply(
            &client,
            namespace,
            "AccessGrant",
            "g",
            &json!({
                "subjects": [{"kind": "Namespace", "name": "x"}], "pool": "nowhere",
            }),
        )
        .await;
        let events = Api::<Event>::namespaced(client.clone(), namespace);
        let told = until("an Event about the grant", async || {
            let found = events.list(&ListParams::default()).await?.items;
            let grant = found.iter().any(|event| event.reason.as_deref() == Some("PoolNotFound"));
            if grant { Ok(found) } else { Err(std::io::Error::other(format!("{found:?}")).into()) }
        });
        let told = told.await.unwrap();
        let mut notes: Vec<_> = told.iter().map(|event| event.note.clone().unwrap()).collect();
        notes.sort();
        let begins = [
            "AccountPool nowhere was not found",
            "Available",
            "Available → Limited: ",
            "Limited → Available",
        ];
        assert_eq!(notes.len(), begins.len(), "{notes:#?}");
        for (note, begin) in notes.iter().zip(begins) {
            assert!(note.starts_with(begin), "{notes:#?}");
        }
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_storm_of_small_moves_is_a_handful_of_writes() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        account(&client, namespace, "a").await;
        let config = rights::in_one_namespace(server, namespace, true).await;
        let replica = Replica::start(config, in_namespace(namespace, "one")).await;
        status_is(&client, namespace, is(State::Available)).await;
        let mut objects = replica.cluster.objects();
        let began = std::time::Instant::now();
        let (mut moves, mut writes) = (0u32, 0u32);
        objects.borrow_and_update();
        // Until the second small write: at least five seconds, however slow the machine is.
        while writes < 3 {
            moves += 1;
            let percent = f64::from(moves % 1_000) / 10.0;
            replica.reconciler.observe(vec![used(&id(namespace, "a"), percent)]).await;
            writes += u32::from(objects.has_changed().unwrap());
            objects.borrow_and_update();
        }
        println!("{moves} moves in {:?} were {writes} writes", began.elapsed());
        assert!(began.elapsed() >= std::time::Duration::from_secs(5), "{:?}", began.elapsed());
        replica.stop().await;
    })
    .await;
}
