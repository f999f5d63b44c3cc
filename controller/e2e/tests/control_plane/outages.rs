//! An API server that is away, does not answer, or has forgotten what changed: what is in force stays in force.

use k8s_openapi::api::core::v1::ConfigMap;
use penstock_crds::account::status::State;
use penstock_e2e::ApiServer;
use serde_json::json;
use tokio::sync::watch;

use super::replica::{Replica, credential, in_namespace};
use super::sharing::limited;
use super::{account, create, id, rights, secret};

#[tokio::test]
async fn nothing_is_lost_or_blanked_while_the_api_server_is_away() {
    let mut server = ApiServer::start().await.unwrap();
    server.apply_crds().await.unwrap();
    let client = server.client();
    for name in ["a", "b"] {
        account(&client, "default", name).await;
    }
    let config = rights::in_one_namespace(&server, "default", true).await;
    let replica = Replica::start(config, in_namespace("default", "one")).await;
    replica.until_leads(true).await;
    let (a, b) = (id("default", "a"), id("default", "b"));
    replica.account_is(&a, State::Available).await;

    // Far more changes than a watch that went on could be told of: it must list anew.
    for n in 0..50 {
        let other = json!({"metadata": {"name": format!("other-{n}")}, "data": {"x": "y"}});
        create::<ConfigMap>(&client, "default", other).await;
    }
    let (stop, stopped) = watch::channel(false);
    let objects = replica.cluster.objects();
    let looking = async {
        let mut stopped = stopped;
        let mut objects = objects;
        let mut looks = 0;
        loop {
            let held = objects.borrow_and_update().clone();
            assert!(held.accounts.contains_key(&a) && held.secrets.contains_key(&a), "look {looks}");
            looks += 1;
            tokio::select! {
                changed = objects.changed() => changed.unwrap(),
                _ = stopped.changed() => return,
            }
        }
    };
    let story = async {
        server.stop();
        // Known here at once, written when the API server is back.
        replica.reconciler.observe(vec![limited(&b, 3_600)]).await;
        replica.account_is(&b, State::Limited).await;
        replica.until_leads(false).await;
        let plan = replica.reconciler.plan().borrow().clone();
        assert_eq!(credential(&plan, &a).as_deref(), Some("sk-a"));
        assert!(!replica.cluster.problems().borrow().is_empty());

        server.restart().await.unwrap();
        secret(&client, "default", "a", "sk-rotated").await;
        replica.plan("the rotated key", |plan| credential(plan, &a).as_deref() == Some("sk-rotated")).await;
        replica.until_leads(true).await;
        let limited = |found: Option<&penstock_crds::ProviderAccount>| {
            found.and_then(|found| found.status.as_ref()?.state) == Some(State::Limited)
        };
        let api = super::accounts(&client, "default");
        penstock_e2e::await_condition(&api, "b", limited, penstock_e2e::wait::PATIENCE).await.unwrap();
        stop.send_replace(true);
    };
    tokio::join!(looking, story);
    replica.stop().await;
}

#[tokio::test]
async fn a_leader_whose_api_server_does_not_answer_leads_no_more_and_leads_again() {
    let server = ApiServer::start().await.unwrap();
    server.apply_crds().await.unwrap();
    let replica = Replica::start(server.config().clone(), in_namespace("default", "one")).await;
    replica.until_leads(true).await;
    server.freeze().unwrap();
    replica.until_leads(false).await;
    server.thaw().unwrap();
    replica.until_leads(true).await;
    account(&server.client(), "default", "a").await;
    replica.account_is(&id("default", "a"), State::Available).await;
    replica.stop().await;
}
