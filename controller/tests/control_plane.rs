//! Proxies and the controller, over real sockets and TLS.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use penstock_controller::store::Store;
use penstock_controller::store::embedded::Embedded;
use penstock_proto::event::{Ending, Event};
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};
use penstock_proto::observation::Observation;
use penstock_proto::wire;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;
use wire::report_request::Message as Report;
use wire::report_response::Message as Answer;

#[path = "control_plane/authority.rs"]
mod authority;
#[path = "control_plane/harness.rs"]
mod harness;
#[path = "control_plane/identity.rs"]
mod identity;
#[path = "control_plane/refusals.rs"]
mod refusals;

use harness::{Controller, id, ingest_into};

/// Names of the changed resources of a kind.
fn changed(update: &wire::Update, kind: wire::ResourceKind) -> Vec<&str> {
    let of_kind = update.changed.iter().filter(|resource| resource.kind == i32::from(kind));
    of_kind.map(|resource| resource.name.as_str()).collect()
}

fn limited(account: &str) -> Observation {
    let now = Timestamp::now();
    let mut observation = Observation::about(id(account), now);
    let scope = CooldownScope { reason: CooldownReason::QuotaExhausted, model: None };
    let until = now + jiff::SignedDuration::from_hours(1);
    observation.cooldowns.push((scope, Cooldown { until, observed_at: now }));
    observation
}

fn event() -> Event {
    Event {
        method: "POST".into(),
        path: "/v1/messages".into(),
        status: 200,
        ending: Ending::Complete,
        ..Event::new(Uuid::now_v7(), Timestamp::now())
    }
}

#[tokio::test]
async fn a_proxy_gets_everything_once_and_then_what_changes() {
    let controller = Controller::start().await;
    controller.set_account("a", 0);
    controller.reconciler.plan().wait_for(|plan| plan.accounts.len() == 1).await.unwrap();

    let mut proxy = controller.subscribe().await;
    let first = proxy.push().await;
    assert!(first.complete);
    assert_eq!(changed(&first, wire::ResourceKind::Account), ["default/a"]);
    assert_eq!(changed(&first, wire::ResourceKind::Pool), ["default/default"]);

    controller.set_account("b", 3);
    let second = proxy.change().await;
    assert_eq!(changed(&second, wire::ResourceKind::Account), ["default/b"], "a is not sent again");

    controller.remove_account("b");
    let third = proxy.change().await;
    assert!(third.removed.iter().any(|gone| gone.name == "default/b"));
}

#[tokio::test]
async fn a_proxy_that_comes_back_receives_only_what_changed() {
    let controller = Controller::start().await;
    for account in ["a", "b"] {
        controller.set_account(account, 0);
    }
    controller.reconciler.plan().wait_for(|plan| plan.accounts.len() == 2).await.unwrap();
    let mut before = controller.subscribe().await;
    before.push().await;
    let held = before.held;

    let mut same = controller.subscribe_holding(held.clone()).await;
    let nothing = same.push().await;
    assert!(nothing.complete && nothing.changed.is_empty() && nothing.removed.is_empty());

    let version = nothing.view_version;
    controller.set_account("b", 9);
    controller.reconciler.plan().wait_for(|plan| plan.accounts.len() == 2).await.unwrap();
    while same.push().await.view_version == version {}
    let mut after = controller.subscribe_holding(held).await;
    assert_eq!(changed(&after.push().await, wire::ResourceKind::Account), ["default/b"]);
}

#[tokio::test]
async fn what_one_proxy_observes_reaches_every_other() {
    let controller = Controller::start().await;
    controller.set_account("a", 0);
    controller.reconciler.plan().wait_for(|plan| plan.accounts.len() == 1).await.unwrap();
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = controller.subscribe().await;
        other.push().await;
        others.push(other);
    }
    let mut reporting = controller.report().await;
    let batch = wire::ObservationBatch { batch_id: 7, observations: vec![(&limited("a")).into()] };
    reporting.say.send(wire::ReportRequest { message: Some(Report::Observations(batch)) }).await.unwrap();
    let answer = reporting.answers.message().await.unwrap().unwrap();
    assert_eq!(answer.message, Some(Answer::Stored(wire::Stored { batch_id: 7 })));
    for other in &mut others {
        assert_eq!(changed(&other.change().await, wire::ResourceKind::AccountState), ["default/a"]);
    }
}

#[tokio::test]
async fn who_is_connected_is_known_and_forgotten_when_it_goes() {
    let controller = Controller::start().await;
    controller.set_account("a", 0);
    controller.reconciler.plan().wait_for(|plan| plan.accounts.len() == 1).await.unwrap();
    let mut proxy = controller.subscribe().await;
    let push = proxy.push().await;
    proxy.ack(push.nonce).await;
    let shown = controller.proxy(|proxy| proxy.held_version == push.view_version).await;
    assert_eq!(shown.identity.id, "proxy-1");
    assert_eq!(controller.registry.in_use_by(), BTreeMap::from([(id("a"), 1)]));
    drop(proxy);
    let mut changes = controller.registry.changes();
    while controller.registry.count() > 0 {
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_token_and_a_wrong_authority_are_refused() {
    let (controller, other) = (Controller::start().await, Controller::start().await);
    for token in ["", "wrong", &harness::TOKEN[1..]] {
        let refused = controller.try_subscribe(token, BTreeMap::new()).await.err().unwrap();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    assert!(controller.client(&other.ca_pem()).await.is_err());
    assert_eq!(controller.registry.count(), 0);
}

/// The certificate that a new connection is shown.
async fn shown_certificate(controller: &Controller) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(controller.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(controller.address).await.unwrap();
    let name = ServerName::from(controller.address.ip());
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_new_certificate_leaves_open_streams_alone() {
    let controller = Controller::start().await;
    let mut proxy = controller.subscribe().await;
    proxy.push().await;
    let before = shown_certificate(&controller).await;
    controller.certificates.renew(Timestamp::now()).unwrap();
    assert_ne!(shown_certificate(&controller).await, before);
    controller.set_account("a", 0);
    assert_eq!(changed(&proxy.change().await, wire::ResourceKind::Account), ["default/a"]);
}

#[tokio::test]
async fn a_controller_that_stops_tells_its_proxies_and_ends() {
    let mut controller = Controller::start().await;
    let mut proxy = controller.subscribe().await;
    proxy.push().await;
    controller.stop.cancel();
    assert!(proxy.end().await.is_none(), "an end without an error asks for another connection");
    drop(proxy);
    while let Some(ended) = controller.tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_batch_that_cannot_be_taken_now_is_refused_with_a_hint() {
    let controller = Controller::start().await;
    let mut reporting = controller.report().await;
    let batch = wire::EventBatch { batch_id: 3, events: vec![event().to_bytes().into()] };
    reporting.say.send(wire::ReportRequest { message: Some(Report::Events(batch)) }).await.unwrap();
    let answer = reporting.answers.message().await.unwrap().unwrap().message.unwrap();
    let Answer::Busy(busy) = answer else { panic!("{answer:?}") };
    assert!(busy.batch_id == 3 && busy.retry_after_ms > 0);
}

#[tokio::test]
async fn events_are_stored_once_however_often_they_are_reported() {
    let data = tempfile::tempdir().unwrap();
    let postgres = Embedded::start(data.path()).await.unwrap();
    let store = Store::new(&postgres.connection()).unwrap();
    store.migrate().await.unwrap();
    let (ingest, ingester) = ingest_into(&postgres.connection());
    let (stop_ingest, stop_postgres) = (CancellationToken::new(), CancellationToken::new());
    let mut history = JoinSet::new();
    history.spawn(ingester.run(stop_ingest.clone()));
    let controller = Controller::with(ingest).await;

    let events: Vec<Event> = std::iter::repeat_with(event).take(20).collect();
    for batch_id in [1, 2] {
        // The second connection has heard nothing of the first one's answer.
        let mut reporting = controller.report().await;
        let mut events: Vec<_> = events.iter().map(|event| event.to_bytes().into()).collect();
        // One without a UUID, and one that is no message at all.
        events.extend([vec![10, 1, b'x'].into(), vec![10, 9].into()]);
        let message = Some(Report::Events(wire::EventBatch { batch_id, events }));
        reporting.say.send(wire::ReportRequest { message }).await.unwrap();
        let answer = reporting.answers.message().await.unwrap().unwrap();
        assert_eq!(answer.message, Some(Answer::Stored(wire::Stored { batch_id })));
    }
    let counters = controller.ingest.counters();
    assert_eq!(counters.inserted.load(Ordering::Relaxed), 20);
    assert_eq!(counters.duplicates.load(Ordering::Relaxed), 20);
    for event in &events {
        assert!(store.request(event.id).await.unwrap().is_some());
    }

    stop_ingest.cancel();
    while history.join_next().await.is_some() {}
    stop_postgres.cancel();
    postgres.run(stop_postgres).await;
}
