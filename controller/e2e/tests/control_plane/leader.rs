//! One leads: the next one when it lets go, or when its time is up.

use std::time::Instant;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use penstock_e2e::with_temp_ns;

use super::replica::{Replica, in_namespace};
use super::{rights, server};

#[tokio::test]
async fn a_leader_that_stops_lets_go_and_one_that_is_killed_is_followed_when_its_time_is_up() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let config = rights::in_one_namespace(server, namespace, true).await;
        let one = Replica::start(config.clone(), in_namespace(namespace, "one")).await;
        one.until_leads(true).await;
        let two = Replica::start(config.clone(), in_namespace(namespace, "two")).await;
        assert!(!two.leads());

        let began = Instant::now();
        one.stop().await;
        two.until_leads(true).await;
        println!("the next one led after {:?}", began.elapsed());
        let lease =
            Api::<Lease>::namespaced(client.clone(), namespace).get("penstock-controller").await.unwrap();
        let holder = lease.spec.unwrap().holder_identity.unwrap();
        assert!(holder.starts_with("two_"), "{holder}");

        let three = Replica::start(config, in_namespace(namespace, "three")).await;
        let began = Instant::now();
        two.kill().await;
        three.until_leads(true).await;
        println!("the next one led {:?} after the leader was killed", began.elapsed());
        assert!(
            began.elapsed() >= std::time::Duration::from_secs(10),
            "it may not before: {:?}",
            began.elapsed()
        );
        three.stop().await;
    })
    .await;
}
