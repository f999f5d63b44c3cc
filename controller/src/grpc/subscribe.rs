//! One stream of pushes. On every new plan it works out what the proxy does not hold and sends that; plans
//! that come while a push is being written are skipped in favour of the last one.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, stream};
use jiff::Timestamp;
use penstock_controller_core::Plan;
use penstock_controller_core::snapshot::View;
use penstock_proto::peer::ProxyIdentity;
use penstock_proto::resource::{Refusal, Update};
use penstock_proto::wire;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};
use wire::subscribe_request::Message as Heard;
use wire::subscribe_response::Message as Say;

use super::Grpc;
use super::identity::Peer;
use crate::proxies::Place;

/// A push is cut at about this size, bytes, below what a gRPC peer takes unless told otherwise.
const MESSAGE: usize = 1 << 20;

/// One proxy's stream.
struct Subscription {
    service: Grpc,
    peer: Peer,
    /// When it is old enough.
    ends: Instant,
    heard: Streaming<wire::SubscribeRequest>,
    plans: watch::Receiver<Arc<Plan>>,
    place: Place,
    name: String,
    /// What it will hold once everything sent is taken in. A refused resource counts as sent: it is not
    /// offered again until it changes, or the proxy reconnects and says what it really holds.
    sent: Arc<View>,
    next_nonce: u64,
    queue: VecDeque<wire::Update>,
    /// Pushes without an answer, by the nonce that completes them.
    unanswered: VecDeque<Sent>,
}

struct Sent {
    nonce: u64,
    view: Arc<View>,
    at: Timestamp,
    refusals: Vec<Refusal>,
}

/// Waits for the introduction; from then on every push, as it becomes due.
pub(super) async fn pushes(
    service: Grpc,
    peer: Peer,
    mut heard: Streaming<wire::SubscribeRequest>,
) -> Result<impl Stream<Item = Result<wire::SubscribeResponse, Status>>, Status> {
    let Some(Heard::Hello(hello)) = heard.message().await?.and_then(|request| request.message) else {
        return Err(Status::invalid_argument("the first message of a subscription is Hello"));
    };
    let (said, held) = hello.into_parts();
    let identity = peer.introduced(said);
    let mut plans = service.reconciler.plan();
    let plan = Arc::clone(&plans.borrow_and_update());
    let (now, view) = (Timestamp::now(), service.views.of(&plan, &peer.viewer));
    let first = view.update(&held, now);
    info!(proxy.id = identity.id, proxy.pod = identity.pod, held = held.len(), "a proxy connected");
    let place = service.registry.connect(identity.clone(), now);
    let mut subscription = Subscription {
        ends: service.stream_ends(),
        service,
        peer,
        heard,
        plans,
        place,
        name: name(identity),
        sent: Arc::clone(&view),
        next_nonce: 1,
        queue: VecDeque::new(),
        unanswered: VecDeque::new(),
    };
    // Also when nothing is to be changed: it completes what the proxy holds.
    subscription.enqueue(&first, view, now);
    Ok(stream::unfold(Some(subscription), |subscription| async {
        match subscription?.next().await {
            Ok((push, subscription)) => Some((Ok(say(push)), Some(subscription))),
            Err(end) => Some((Err(end?), None)),
        }
    }))
}

impl Subscription {
    /// The next push, or the end of the stream.
    async fn next(mut self) -> Result<(wire::Update, Self), Option<Status>> {
        loop {
            if let Some(push) = self.queue.pop_front() {
                self.service.metrics.pushed();
                return Ok((push, self));
            }
            tokio::select! {
                biased;
                // An end without an error asks the proxy to come back, to another replica if there is one.
                () = self.service.stop.cancelled() => return Err(None),
                () = tokio::time::sleep_until(self.ends) => return Err(None),
                heard = self.heard.message() => match heard {
                    Ok(Some(request)) => self.hear(request),
                    Ok(None) | Err(_) => return Err(None),
                },
                changed = self.plans.changed() => match changed {
                    Ok(()) => self.plan_changed(),
                    Err(_) => return Err(Some(Status::unavailable("the controller is stopping"))),
                },
            }
        }
    }

    fn plan_changed(&mut self) {
        let plan = Arc::clone(&self.plans.borrow_and_update());
        let view = self.service.views.of(&plan, &self.peer.viewer);
        if view.version == self.sent.version {
            return;
        }
        let now = Timestamp::now();
        let step = self.service.views.step(&self.sent, &view, now);
        self.enqueue(&step, view, now);
    }

    fn enqueue(&mut self, update: &Update, view: Arc<View>, now: Timestamp) {
        let pushes = wire::Update::cut(self.next_nonce, update, MESSAGE);
        self.next_nonce += pushes.len() as u64;
        self.place.sent(&view, now);
        let nonce = self.next_nonce - 1;
        self.unanswered.push_back(Sent { nonce, view: Arc::clone(&view), at: now, refusals: Vec::new() });
        self.sent = view;
        self.queue.extend(pushes);
    }

    fn hear(&mut self, request: wire::SubscribeRequest) {
        match request.message {
            Some(Heard::Ack(ack)) => self.answered(ack.nonce, Vec::new()),
            Some(Heard::Nack(nack)) => {
                let refusals: Vec<_> = nack.refusals.into_iter().map(Refusal::from).collect();
                for refusal in &refusals {
                    let (kind, name) = (refusal.key.kind.as_label(), refusal.key.name.as_str());
                    warn!(
                        proxy = self.name,
                        kind,
                        name,
                        reason = refusal.reason,
                        "a proxy refused a resource"
                    );
                    self.service.metrics.nacked(kind);
                }
                self.answered(nack.nonce, refusals);
            }
            // A second introduction, or something of a newer version: neither changes what is known.
            Some(Heard::Hello(_)) | None => {
                debug!(proxy = self.name, "an unexpected message was passed over");
            }
        }
    }

    /// Answers come in order; one completes a view if it is for the last piece of its push.
    fn answered(&mut self, nonce: u64, refusals: Vec<Refusal>) {
        if let Some(sent) = self.unanswered.iter_mut().find(|sent| sent.nonce >= nonce) {
            sent.refusals.extend(refusals);
        }
        let now = Timestamp::now();
        while let Some(sent) = self.unanswered.pop_front_if(|sent| sent.nonce <= nonce) {
            let lag = now.duration_since(sent.at);
            self.service.metrics.answered(lag);
            self.place.holds(sent.view, sent.refusals, lag);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        info!(proxy = self.name, "a proxy disconnected");
    }
}

fn say(push: wire::Update) -> wire::SubscribeResponse {
    wire::SubscribeResponse { message: Some(Say::Update(push)) }
}

/// What logs call it.
fn name(identity: ProxyIdentity) -> String {
    if identity.pod.is_empty() { identity.id } else { identity.pod }
}
