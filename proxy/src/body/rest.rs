//! What follows the beginning of a body that is too large to be kept: read from the client when the provider
//! takes it, so that the one slows the other, and sent once.
//! Never holds more than the piece in hand.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use penstock_llm::request::ModelWatch;

use super::Incoming;
use super::gather::Wait;
use crate::respond::Refusal;
use crate::upstream::{self, BoxError};

/// The rest of a body. The attempt that begins to read it is the last one.
pub(super) struct Rest {
    coming: Arc<Mutex<Coming>>,
    /// Bytes still to come, if the client said how many.
    left: Option<u64>,
    received: Arc<AtomicU64>,
}

struct Coming {
    incoming: Incoming,
    wait: Wait,
    largest: u64,
    /// How much of the body has come, its beginning included.
    received: Arc<AtomicU64>,
    /// Set where the model was found in the beginning.
    model: Option<ModelWatch>,
    /// Why it did not come to its end.
    failed: Option<Refusal>,
}

/// The whole body on its way to one account.
struct Sending {
    beginning: VecDeque<Bytes>,
    rest: Arc<Mutex<Coming>>,
}

impl Rest {
    pub(super) fn new(
        incoming: Incoming,
        wait: Wait,
        largest: u64,
        announced: Option<u64>,
        beginning: &Bytes,
    ) -> Self {
        let length = beginning.len() as u64;
        let received = Arc::new(AtomicU64::new(length));
        let coming =
            Coming { incoming, wait, largest, received: Arc::clone(&received), model: None, failed: None };
        Self {
            coming: Arc::new(Mutex::new(coming)),
            left: announced.map(|announced| announced.saturating_sub(length)),
            received,
        }
    }

    /// Refuses a further model: `beginning` names the one that counts.
    pub(super) fn watch_model(&self, beginning: &[u8]) {
        self.coming.lock().model = Some(ModelWatch::after(beginning));
    }

    /// How much of the body has come, its beginning included; counts on.
    pub(super) fn received(&self) -> &Arc<AtomicU64> {
        &self.received
    }

    /// The body to send, `beginning` first.
    pub(super) fn after(&self, beginning: &[Bytes]) -> upstream::RequestBody<'static> {
        let length = beginning.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let sending =
            Sending { beginning: beginning.iter().cloned().collect(), rest: Arc::clone(&self.coming) };
        upstream::RequestBody::Stream {
            length: self.left.map(|left| length + left),
            source: Box::pin(sending),
        }
    }

    /// Why it did not come to its end, if it did not.
    pub(super) fn failure(&self) -> Option<Refusal> {
        self.coming.lock().failed.take()
    }
}

impl Coming {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        let piece = self.incoming.poll_piece(cx);
        let Some(piece) = ready!(self.wait.within(piece, cx))? else { return Poll::Ready(Ok(None)) };
        let length = piece.len() as u64;
        let before = self.received.fetch_add(length, Ordering::Relaxed);
        if before + length > self.largest {
            return Poll::Ready(Err(Refusal::TooLarge { largest: self.largest }));
        }
        if self.model.as_mut().is_some_and(|model| model.names_model(&piece)) {
            return Poll::Ready(Err(Refusal::SecondModel));
        }
        Poll::Ready(Ok(Some(piece)))
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(piece) = self.beginning.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let mut rest = self.rest.lock();
        Poll::Ready(match ready!(rest.poll_piece(cx)) {
            Ok(piece) => piece.map(|piece| Ok(Frame::data(piece))),
            Err(refusal) => {
                rest.failed = Some(refusal);
                Some(Err("the client's body did not come to its end".into()))
            }
        })
    }
}
