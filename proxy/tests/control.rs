//! The proxy's end of the control plane against a controller whose every word is the test's, over real
//! sockets and TLS.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proto::event::{Ending, Event};
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};
use penstock_proto::observation::Observation;
use penstock_proto::peer::ProxyIdentity;
use penstock_proto::snapshot::Snapshot;
use penstock_proto::wire;
use penstock_proxy::config::ControllerConfig;
use penstock_proxy::control::{Control, ControlStatus};
use penstock_proxy::observations::Observations;
use penstock_proxy::sink::Sink;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::report_request::Message as Reported;
use wire::report_response::Message as Answer;
use wire::subscribe_request::Message as Said;

#[path = "control/fake.rs"]
mod fake;

use fake::Fake;

/// Longer than any test takes: a wait that should end by itself is not ended by this.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(600);

struct Proxy {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    status: watch::Receiver<ControlStatus>,
    observations: Observations,
    sink: Sink,
    stop: CancellationToken,
    task: JoinSet<()>,
    files: TempDir,
}

impl Proxy {
    fn of(controller: &Fake) -> Self {
        Self::trusting(controller, &controller.ca_pem)
    }

    fn trusting(controller: &Fake, ca_pem: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), ca_pem).unwrap();
        std::fs::write(files.path().join("token"), "first-token\n").unwrap();
        let (snapshots, snapshots_rx) = watch::channel(Arc::default());
        let (status, status_rx) = watch::channel(ControlStatus::default());
        let (observations, sink) = (Observations::new(), Sink::open(None).unwrap());
        let control = Control {
            config: ControllerConfig {
                url: format!("https://localhost:{}", controller.address.port()),
                ca_file: Some(files.path().join("ca.pem")),
                token_file: Some(files.path().join("token")),
            },
            identity: ProxyIdentity { id: "proxy-1".into(), ..ProxyIdentity::default() },
            snapshots,
            status,
            observations: observations.clone(),
            sink: sink.clone(),
            last_words: LAST_WORDS,
        };
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(control.run(stop.clone()));
        Self { snapshots: snapshots_rx, status: status_rx, observations, sink, stop, task, files }
    }

    async fn holds_pools(&mut self, count: usize) {
        self.snapshots.wait_for(|snapshot| snapshot.pools.len() == count).await.unwrap();
    }
}

fn pool(name: &str, version: &str, attempts: u32) -> wire::Resource {
    let body = wire::resource::Body::Pool(wire::Pool { attempts, ..Default::default() });
    wire::Resource { kind: 3, name: name.into(), version: version.into(), body: Some(body) }
}

fn push(nonce: u64, changed: Vec<wire::Resource>, complete: bool) -> wire::Update {
    wire::Update { nonce, changed, complete, ..Default::default() }
}

fn event(path: &str) -> Event {
    Event {
        method: "POST".into(),
        path: path.into(),
        status: 200,
        ending: Ending::Complete,
        ..Event::new(Uuid::now_v7(), Timestamp::UNIX_EPOCH)
    }
}

fn limited() -> Observation {
    let now = Timestamp::UNIX_EPOCH;
    let mut observation = Observation::about("llm/a".parse().unwrap(), now);
    let scope = CooldownScope { reason: CooldownReason::QuotaExhausted, model: None };
    observation.cooldowns.push((scope, Cooldown { until: now, observed_at: now }));
    observation
}

fn events_of(message: wire::ReportRequest) -> wire::EventBatch {
    match message.message {
        Some(Reported::Events(batch)) => batch,
        other => panic!("{other:?}"),
    }
}

fn observations_of(message: wire::ReportRequest) -> wire::ObservationBatch {
    match message.message {
        Some(Reported::Observations(batch)) => batch,
        other => panic!("{other:?}"),
    }
}

fn stored(batch_id: u64) -> Answer {
    Answer::Stored(wire::Stored { batch_id })
}

#[tokio::test]
async fn a_view_is_in_force_when_it_is_complete_and_each_push_is_answered() {
    let mut controller = Fake::start().await;
    let mut proxy = Proxy::of(&controller);
    let mut stream = controller.subscription().await;
    assert_eq!(stream.authorization, "Bearer first-token");
    let Some(Said::Hello(hello)) = stream.hear().await.message else { panic!() };
    assert_eq!((hello.proxy.unwrap().id.as_str(), hello.held.len()), ("proxy-1", 0));

    stream.push(push(1, vec![pool("llm/a", "1", 4)], false));
    assert_eq!(stream.hear().await.message, Some(Said::Ack(wire::Ack { nonce: 1 })));
    assert!(proxy.snapshots.borrow().pools.is_empty(), "half a view is not published");

    stream.push(push(2, vec![pool("llm/b", "1", 4)], true));
    proxy.holds_pools(2).await;
    proxy.status.wait_for(|status| status.connected && status.synced).await.unwrap();
}

#[tokio::test]
async fn a_reconnect_tells_what_is_held_and_meanwhile_the_last_snapshot_stays_in_force() {
    let mut controller = Fake::start().await;
    let mut proxy = Proxy::of(&controller);
    let mut stream = controller.subscription().await;
    stream.hear().await;
    stream.push(push(1, vec![pool("llm/a", "v7", 4)], true));
    proxy.holds_pools(1).await;

    // Projected tokens rotate: the next connection takes the new one.
    std::fs::write(proxy.files.path().join("token"), "second-token").unwrap();
    stream.break_off();
    proxy.status.wait_for(|status| status.failures == 1).await.unwrap();
    assert_eq!(proxy.snapshots.borrow().pools.len(), 1);

    let mut stream = controller.subscription().await;
    assert_eq!(stream.authorization, "Bearer second-token");
    let Some(Said::Hello(hello)) = stream.hear().await.message else { panic!() };
    assert_eq!(hello.held, [wire::HeldResource { kind: 3, name: "llm/a".into(), version: "v7".into() }]);
    let removed = vec![wire::ResourceName { kind: 3, name: "llm/a".into() }];
    stream.push(wire::Update { removed, ..push(1, vec![], true) });
    proxy.holds_pools(0).await;
}

#[tokio::test]
async fn a_controller_that_asks_for_a_new_connection_gets_it_and_nothing_failed() {
    let mut controller = Fake::start().await;
    let mut proxy = Proxy::of(&controller);
    let mut stream = controller.subscription().await;
    stream.hear().await;
    stream.push(push(1, vec![pool("llm/a", "v7", 4)], true));
    proxy.holds_pools(1).await;
    drop(stream);
    let Some(Said::Hello(hello)) = controller.subscription().await.hear().await.message else { panic!() };
    assert_eq!(hello.held.len(), 1);
    assert_eq!(proxy.status.borrow().failures, 0);
}

#[tokio::test]
async fn a_certificate_authority_that_is_not_there_yet_is_waited_for() {
    let mut controller = Fake::start().await;
    let mut proxy = Proxy::trusting(&controller, "");
    let ca = proxy.files.path().join("ca.pem");
    std::fs::remove_file(&ca).unwrap();
    let named = |status: &ControlStatus| {
        status.last_error.as_deref().is_some_and(|why| why.contains("ca.pem") && why.contains("No such file"))
    };
    proxy.status.wait_for(named).await.unwrap();
    std::fs::write(&ca, &controller.ca_pem).unwrap();
    controller.subscription().await;
    proxy.status.wait_for(|status| status.connected).await.unwrap();
}

#[tokio::test]
async fn a_refused_resource_is_named_and_the_rest_of_the_push_is_in_force() {
    let mut controller = Fake::start().await;
    let mut proxy = Proxy::of(&controller);
    let mut stream = controller.subscription().await;
    stream.hear().await;
    stream.push(push(1, vec![pool("llm/bad", "1", 0), pool("llm/good", "1", 4)], true));
    proxy.holds_pools(1).await;
    let Some(Said::Nack(nack)) = stream.hear().await.message else { panic!() };
    assert_eq!((nack.nonce, nack.refusals[0].name.as_str()), (1, "llm/bad"));
    proxy.status.wait_for(|status| status.refusals.len() == 1).await.unwrap();

    stream.push(push(2, vec![pool("llm/bad", "2", 1)], true));
    proxy.holds_pools(2).await;
    proxy.status.wait_for(|status| status.refusals.is_empty()).await.unwrap();
}

#[tokio::test]
async fn a_controller_with_a_certificate_of_another_authority_is_not_talked_to() {
    let (mut controller, other) = (Fake::start().await, Fake::start().await);
    let mut proxy = Proxy::trusting(&controller, &other.ca_pem);
    let status = proxy.status.wait_for(|status| status.failures >= 2).await.unwrap().clone();
    assert!(!status.connected && status.last_error.is_some(), "{status:?}");
    assert!(controller.subscriptions.try_recv().is_err(), "the token was not sent");
}

#[tokio::test]
async fn events_that_were_not_confirmed_are_sent_again_on_the_next_connection() {
    let mut controller = Fake::start().await;
    let proxy = Proxy::of(&controller);
    proxy.sink.offer(&event("/first"));
    let _subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    let first = events_of(stream.hear().await);
    drop(stream);

    let _subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    let again = events_of(stream.hear().await);
    assert_eq!(again.events, first.events);
    stream.answer(stored(again.batch_id));

    proxy.sink.offer(&event("/second"));
    let next = events_of(stream.hear().await);
    assert_eq!(
        next.events.iter().map(|event| Event::from_bytes(event).unwrap().path).collect::<Vec<_>>(),
        ["/second"]
    );
}

#[tokio::test]
async fn a_busy_controller_is_asked_again_with_the_same_events() {
    let mut controller = Fake::start().await;
    let proxy = Proxy::of(&controller);
    proxy.sink.offer(&event("/x"));
    let _subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    let first = events_of(stream.hear().await);
    stream.answer(Answer::Busy(wire::Busy { batch_id: first.batch_id, retry_after_ms: 1 }));
    let again = events_of(stream.hear().await);
    assert_eq!(again.events, first.events);
}

#[tokio::test]
async fn an_observation_overtakes_events_that_are_not_stored_yet() {
    let mut controller = Fake::start().await;
    let proxy = Proxy::of(&controller);
    proxy.sink.offer(&event("/x"));
    let _subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    let waiting = events_of(stream.hear().await);
    proxy.observations.note(limited());
    let observed = observations_of(stream.hear().await);
    assert_eq!(observed.observations[0].account, "llm/a");
    stream.answer(stored(observed.batch_id));
    stream.answer(stored(waiting.batch_id));
}

#[tokio::test]
async fn an_observation_that_was_not_confirmed_is_told_again() {
    let mut controller = Fake::start().await;
    let proxy = Proxy::of(&controller);
    let _subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    proxy.observations.note(limited());
    let first = observations_of(stream.hear().await);
    drop(stream);
    let _subscription = controller.subscription().await;
    let again = observations_of(controller.reporting().await.hear().await);
    assert_eq!(again.observations, first.observations);
}

#[tokio::test]
async fn a_stop_delivers_what_was_offered_before_and_then_ends() {
    let mut controller = Fake::start().await;
    let mut proxy = Proxy::of(&controller);
    let _subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    proxy.sink.offer(&event("/last"));
    proxy.stop.cancel();
    let last = events_of(stream.hear().await);
    stream.answer(stored(last.batch_id));
    proxy.task.join_next().await.unwrap().unwrap();
    assert_eq!(proxy.sink.depth().ring, 0);
}

#[tokio::test]
async fn a_stop_while_the_controller_goes_away_delivers_over_the_next_connection() {
    let mut controller = Fake::start().await;
    let mut proxy = Proxy::of(&controller);
    let subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    proxy.sink.offer(&event("/last"));
    proxy.stop.cancel();
    let unanswered = events_of(stream.hear().await);
    drop((subscription, stream));
    let _subscription = controller.subscription().await;
    let mut stream = controller.reporting().await;
    let again = events_of(stream.hear().await);
    assert_eq!(again.events, unanswered.events);
    stream.answer(stored(again.batch_id));
    proxy.task.join_next().await.unwrap().unwrap();
    assert_eq!(proxy.sink.depth().ring, 0);
}
