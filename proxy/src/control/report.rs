//! Delivers what the proxy saw: observations at once, history events in batches with ids.
//!
//! At least once: what the controller has not confirmed is offered again on the next connection. The
//! ids of events make that harmless; observations merge, so repeating them is harmless too.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use penstock_proto::observation::Observation;
use penstock_proto::wire;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use wire::report_request::Message as Say;
use wire::report_response::Message as Heard;

use super::{Client, Control, LinkError};
use crate::observations::Observations;
use crate::sink::{Batch, Sink};

/// Events taken from the sink at once: some 350 KiB.
const BATCH: usize = 1_024;

/// A batch is cut into messages of at most this size, bytes: some 370 events. While one is sent it is held several
/// times over, as it waited, as a message and encrypted, and that is the most that reporting holds.
const MESSAGE: usize = 128 << 10;

/// Longest wait that a controller may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// One stream: what is asked of the controller and what it has not answered yet.
struct Session {
    say: mpsc::Sender<wire::ReportRequest>,
    next_id: AtomicU64,
    asked: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
}

enum Reply {
    Stored,
    Busy(Duration),
}

/// What was learned and is on its way. Dropped before it is delivered, it goes back and is joined with
/// what was learned since.
struct Undelivered<'a> {
    learned: Vec<Observation>,
    observations: &'a Observations,
}

/// One stream, until it breaks; after `stop` until every event is delivered.
pub(super) async fn session(
    control: &Control,
    mut client: Client,
    stop: &CancellationToken,
) -> Result<(), LinkError> {
    // One event message and one batch of observations are under way at a time, and the introduction.
    let (say, said) = mpsc::channel(4);
    let session = Session { say, next_id: AtomicU64::new(1), asked: Mutex::default() };
    session.send(Say::Proxy((&control.identity).into())).await?;
    let answers = client.report(ReceiverStream::new(said)).await?.into_inner();
    tokio::select! {
        ended = session.listen(answers) => ended,
        ended = session.deliver_observations(&control.observations) => ended,
        ended = session.deliver_events(&control.sink, stop) => ended,
    }
}

impl Session {
    async fn listen(&self, mut answers: Streaming<wire::ReportResponse>) -> Result<(), LinkError> {
        while let Some(answer) = answers.message().await? {
            let (id, reply) = match answer.message {
                Some(Heard::Stored(stored)) => (stored.batch_id, Reply::Stored),
                Some(Heard::Busy(busy)) => {
                    let wait = Duration::from_millis(u64::try_from(busy.retry_after_ms).unwrap_or(0));
                    (busy.batch_id, Reply::Busy(wait.min(LONGEST_WAIT)))
                }
                None => continue,
            };
            if let Some(asked) = self.asked.lock().remove(&id) {
                // Whoever asked may have gone with the stream.
                let _ = asked.send(reply);
            }
        }
        Err(LinkError::Closed)
    }

    async fn deliver_observations(&self, observations: &Observations) -> Result<(), LinkError> {
        loop {
            let learned = Undelivered { learned: observations.take().await, observations };
            let batch: Vec<_> = learned.learned.iter().map(Into::into).collect();
            let message =
                |batch_id| Say::Observations(wire::ObservationBatch { batch_id, observations: batch });
            match self.ask(message).await? {
                Reply::Stored => learned.delivered(),
                Reply::Busy(wait) => {
                    drop(learned);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn deliver_events(&self, sink: &Sink, stop: &CancellationToken) -> Result<(), LinkError> {
        loop {
            let batch = tokio::select! {
                biased;
                batch = sink.take(BATCH, stop) => batch,
                () = nothing_left(sink, stop) => return Ok(()),
            };
            let mut delivered = 0;
            while let Some(wait) = self.deliver(&batch, &mut delivered).await? {
                tokio::time::sleep(wait).await;
            }
            batch.stored();
        }
    }

    /// Sends the messages of a batch that are not `delivered` yet. Returns how long to wait before it is
    /// called again, if the controller is busy; then the rest is made anew, which costs less than keeping
    /// a copy of every message for it.
    async fn deliver(&self, batch: &Batch, delivered: &mut usize) -> Result<Option<Duration>, LinkError> {
        for events in wire::EventBatch::cut(batch.events(), MESSAGE).skip(*delivered) {
            match self.ask(|batch_id| Say::Events(wire::EventBatch { batch_id, events })).await? {
                Reply::Stored => *delivered += 1,
                Reply::Busy(wait) => return Ok(Some(wait)),
            }
        }
        Ok(None)
    }

    /// Sends under a new id and waits for the answer.
    async fn ask(&self, message: impl FnOnce(u64) -> Say) -> Result<Reply, LinkError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.asked.lock().insert(id, answer);
        self.send(message(id)).await?;
        answered.await.map_err(|_| LinkError::Closed)
    }

    async fn send(&self, message: Say) -> Result<(), LinkError> {
        let request = wire::ReportRequest { message: Some(message) };
        self.say.send(request).await.map_err(|_| LinkError::Closed)
    }
}

impl Undelivered<'_> {
    fn delivered(mut self) {
        self.learned.clear();
    }
}

impl Drop for Undelivered<'_> {
    fn drop(&mut self) {
        for observation in self.learned.drain(..) {
            self.observations.note(observation);
        }
    }
}

/// Ends when a stop was asked for and no event waits; what still waits then is taken first.
async fn nothing_left(sink: &Sink, stop: &CancellationToken) {
    stop.cancelled().await;
    let depth = sink.depth();
    if depth.ring > 0 || depth.spool_bytes > 0 {
        std::future::pending::<()>().await;
    }
}
