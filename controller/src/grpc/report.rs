//! One stream of reports. Observations are merged at once and confirmed; batches of events are confirmed
//! when they are stored, in whichever order that happens. Neither waits for the other.

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use penstock_controller_core::snapshot::Viewer;
use penstock_controller_core::{Plan, identity};
use penstock_proto::convert::ConvertError;
use penstock_proto::event::Event;
use penstock_proto::ids::AccountId;
use penstock_proto::observation::Observation;
use penstock_proto::wire;
use tonic::{Status, Streaming};
use tracing::warn;
use wire::report_request::Message as Heard;
use wire::report_response::Message as Say;

use super::Grpc;
use super::identity::Peer;

/// Batches of one proxy that wait to be stored. Ours sends one at a time.
const UNDER_WAY: usize = 8;

struct Reporting {
    service: Grpc,
    peer: Peer,
    heard: Streaming<wire::ReportRequest>,
    /// The peer will send no more, or shall not be listened to any more.
    closed: bool,
    under_way: FuturesUnordered<BoxFuture<'static, Say>>,
}

/// Waits for the introduction; from then on an answer to each batch.
pub(super) async fn answers(
    service: Grpc,
    peer: Peer,
    mut heard: Streaming<wire::ReportRequest>,
) -> Result<impl Stream<Item = Result<wire::ReportResponse, Status>>, Status> {
    let Some(Heard::Proxy(_)) = heard.message().await?.and_then(|request| request.message) else {
        return Err(Status::invalid_argument("the first message of a report is ProxyIdentity"));
    };
    let reporting = Reporting { service, peer, heard, closed: false, under_way: FuturesUnordered::new() };
    Ok(stream::unfold(reporting, |reporting| async {
        let (answer, reporting) = reporting.next().await?;
        Some((Ok(wire::ReportResponse { message: Some(answer) }), reporting))
    }))
}

impl Reporting {
    /// The next answer; `None` when everything is answered and no more will come.
    async fn next(mut self) -> Option<(Say, Self)> {
        loop {
            let listens = !self.closed && self.under_way.len() < UNDER_WAY;
            tokio::select! {
                biased;
                Some(answer) = self.under_way.next() => return Some((answer, self)),
                () = self.service.stop.cancelled(), if !self.closed => self.closed = true,
                heard = self.heard.message(), if listens => match heard {
                    Ok(Some(request)) => self.hear(request),
                    // What is under way is stored, whether anybody hears of it or not.
                    Ok(None) | Err(_) => self.closed = true,
                },
                else => return None,
            }
        }
    }

    fn hear(&mut self, request: wire::ReportRequest) {
        match request.message {
            Some(Heard::Observations(batch)) => {
                let observations = self.readable(batch.observations, Observation::try_from);
                let answer =
                    merge(self.service.clone(), self.peer.viewer.clone(), batch.batch_id, observations);
                self.under_way.push(answer.boxed());
            }
            Some(Heard::Events(batch)) => {
                let mut events = self.readable(batch.events, |event| Event::from_bytes(&event));
                self.attribute(&mut events);
                self.under_way.push(store(self.service.clone(), batch.batch_id, events).boxed());
            }
            // A second introduction, or something of a newer version.
            Some(Heard::Proxy(_)) | None => {}
        }
    }

    /// A sidecar reports of its own pod and of accounts that it may use, whatever it says; a gateway of anybody.
    fn attribute(&self, events: &mut [Event]) {
        let Peer { viewer: viewer @ Viewer::Namespaces(_), workload: Some(workload) } = &self.peer else {
            return;
        };
        let plan = self.service.reconciler.plan();
        let plan = plan.borrow();
        let foreign = |id: &AccountId| plan.accounts.contains_key(id) && !may_report(&plan, viewer, id);
        events.iter_mut().for_each(|event| identity::attribute(event, workload, foreign));
    }

    /// What can be read of a batch. What cannot would not be readable the next time either: it is counted,
    /// and the batch is confirmed without it.
    fn readable<W, T>(&self, wire: Vec<W>, read: impl Fn(W) -> Result<T, ConvertError>) -> Vec<T> {
        let read = |one| {
            read(one)
                .inspect_err(|error| {
                    warn!(%error, "a report cannot be read and is left out");
                    self.service.metrics.unreadable();
                })
                .ok()
        };
        wire.into_iter().filter_map(read).collect()
    }
}

async fn merge(service: Grpc, viewer: Viewer, batch_id: u64, mut observations: Vec<Observation>) -> Say {
    let plan = service.reconciler.plan();
    observations.retain(|observation| may_report(&plan.borrow(), &viewer, &observation.account));
    service.metrics.observed(observations.len());
    service.reconciler.observe(observations).await;
    Say::Stored(wire::Stored { batch_id })
}

async fn store(service: Grpc, batch_id: u64, events: Vec<Event>) -> Say {
    match service.ingest.submit(events).await {
        Ok(()) => Say::Stored(wire::Stored { batch_id }),
        Err(busy) => {
            let retry_after_ms = i64::try_from(busy.retry_after.as_millis()).unwrap_or(i64::MAX);
            Say::Busy(wire::Busy { batch_id, retry_after_ms })
        }
    }
}

/// Whether the peer may use the account: only then is its word on it taken.
fn may_report(plan: &Plan, viewer: &Viewer, account: &AccountId) -> bool {
    match viewer {
        Viewer::All => true,
        Viewer::Namespaces(namespaces) => namespaces
            .iter()
            .filter_map(|namespace| plan.usable.get(namespace))
            .any(|accounts| accounts.contains(account)),
    }
}
