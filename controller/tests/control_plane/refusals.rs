//! What a proxy refuses: shown while it stands, and told to whom the object belongs.

use penstock_controller::refusals;
use penstock_controller_core::reconcile::Refused;
use penstock_controller_core::validate::Kind;
use penstock_proto::wire;
use tokio::sync::mpsc;

use crate::changed;
use crate::harness::{Controller, Subscription, id};

const REASON: &str = "account.base_url: is malformed";

/// A proxy that holds everything but the account `a`, which it refuses.
async fn refusing(controller: &Controller) -> (Subscription, wire::Update) {
    let mut proxy = controller.subscribe().await;
    let first = proxy.push().await;
    proxy.ack(first.nonce).await;
    controller.set_account("a", 0);
    let push = proxy.push().await;
    refuse(&proxy, &push, REASON).await;
    (proxy, push)
}

async fn refuse(proxy: &Subscription, push: &wire::Update, reason: &str) {
    let is_it = |resource: &&wire::Resource| {
        resource.name == "default/a" && resource.kind == i32::from(wire::ResourceKind::Account)
    };
    let refused = push.changed.iter().find(is_it).unwrap();
    let refusal = wire::Refusal {
        kind: refused.kind,
        name: refused.name.clone(),
        version: refused.version.clone(),
        reason: reason.into(),
    };
    let nack = wire::Nack { nonce: push.nonce, refusals: vec![refusal] };
    proxy.say(wire::subscribe_request::Message::Nack(nack)).await;
}

#[tokio::test]
async fn a_refusal_is_shown_until_the_resource_changes_and_is_not_offered_again_before() {
    let controller = Controller::start().await;
    let (mut proxy, push) = refusing(&controller).await;
    let shown = controller.proxy(|proxy| !proxy.refusals.is_empty()).await;
    assert_eq!(shown.refusals[0].key.name, "default/a");
    assert_eq!((shown.waiting_since, shown.held_version), (None, push.view_version));

    controller.set_account("b", 0);
    let next = proxy.change().await;
    assert!(!changed(&next, wire::ResourceKind::Account).contains(&"default/a"));
    let shown = controller.proxy(|proxy| proxy.held_version == next.view_version).await;
    assert_eq!(shown.refusals[0].reason, REASON, "the proxy still serves with the one before");

    controller.set_account("a", 7);
    let mended = proxy.change().await;
    assert!(changed(&mended, wire::ResourceKind::Account).contains(&"default/a"));
    controller.proxy(|proxy| proxy.refusals.is_empty()).await;
}

#[tokio::test]
async fn a_refusal_is_told_once_of_its_object_however_many_proxies_refuse_it() {
    let controller = Controller::start().await;
    let (tell, mut told) = mpsc::unbounded_channel::<Refused>();
    let telling = |refused| {
        tell.send(refused).unwrap();
        std::future::ready(())
    };
    let run = refusals::run(telling, controller.registry.clone(), controller.stop.clone());
    let proxies = async {
        let (mut one, _) = refusing(&controller).await;
        let refused = told.recv().await.unwrap();
        assert_eq!((refused.kind, &refused.id), (Kind::Account, &id("a")));
        assert!(refused.message.contains(REASON), "{}", refused.message);
        let mut another = controller.subscribe().await;
        let push = another.push().await;
        refuse(&another, &push, REASON).await;
        controller.set_account("a", 7);
        for proxy in [&mut one, &mut another] {
            let mut push = proxy.push().await;
            while !changed(&push, wire::ResourceKind::Account).contains(&"default/a") {
                push = proxy.push().await;
            }
            refuse(proxy, &push, "another reason").await;
        }
        let refused = told.recv().await.unwrap();
        assert!(refused.message.contains("another reason"), "{}", refused.message);
        controller.stop.cancel();
    };
    tokio::join!(run, proxies);
    assert!(told.try_recv().is_err(), "once for each reason, and not for each proxy");
}
