//! What one controller learns, the others know within a moment.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use penstock_crds::account::status::State;
use penstock_e2e::with_temp_ns;
use penstock_proto::ids::ObjectId;
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope, Window, WindowStatus};
use penstock_proto::observation::Observation;

use super::replica::{Replica, in_namespace};
use super::{account, id, rights, server};

/// A 429 with `retry-after`.
pub(crate) fn limited(account: &ObjectId, seconds: i64) -> Observation {
    let now = Timestamp::now();
    let mut seen = Observation::about(account.clone(), now);
    let scope = CooldownScope { reason: CooldownReason::Throttled, model: None };
    seen.cooldowns
        .push((scope, Cooldown { until: now + SignedDuration::from_secs(seconds), observed_at: now }));
    seen
}

/// An answer that says how full a window is.
pub(crate) fn used(account: &ObjectId, percent: f64) -> Observation {
    let now = Timestamp::now();
    let mut seen = Observation::about(account.clone(), now);
    let window = Window {
        utilization: percent,
        resets_at: None,
        status: WindowStatus::Allowed,
        remaining: None,
        observed_at: now,
    };
    seen.windows.push(("five_hour".to_owned(), window));
    seen
}

#[tokio::test]
async fn a_limit_that_one_controller_sees_is_known_to_the_other_whoever_leads() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        account(&client, namespace, "a").await;
        let config = rights::in_one_namespace(server, namespace, true).await;
        let one = Replica::start(config.clone(), in_namespace(namespace, "one")).await;
        one.until_leads(true).await;
        let two = Replica::start(config, in_namespace(namespace, "two")).await;
        let a = id(namespace, "a");
        for (from, to, who) in [(&one, &two, "the leader"), (&two, &one, "the other")] {
            for replica in [&one, &two] {
                replica.account_is(&a, State::Available).await;
            }
            let began = Instant::now();
            from.reconciler.observe(vec![limited(&a, 3_600)]).await;
            to.account_is(&a, State::Limited).await;
            println!("what {who} saw was known after {:?}", began.elapsed());
            from.reconciler.forget_limits(a.clone()).await;
        }
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_controller_that_starts_knows_the_limits_that_were_known() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        account(&client, namespace, "a").await;
        let config = rights::in_one_namespace(server, namespace, true).await;
        let one = Replica::start(config.clone(), in_namespace(namespace, "one")).await;
        let a = id(namespace, "a");
        one.reconciler.observe(vec![limited(&a, 3_600), used(&a, 40.0)]).await;
        // As it ends, what it knows is written.
        one.stop().await;
        let two = Replica::start(config, in_namespace(namespace, "two")).await;
        let plan = two.reconciler.plan().borrow().clone();
        assert_eq!(plan.accounts[&a].state, Some(State::Limited));
        assert_eq!(plan.accounts[&a].windows.len(), 1);
        two.stop().await;
    })
    .await;
}
