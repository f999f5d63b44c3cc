//! A body that is sent at its pace, and may break.
//! Writes down in the journal what was handed on; what it hands on does not depend on that.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::InFlight,
    faults::Break,
    journal::{Ending, Pen},
};

/// A body under way.
pub(crate) struct Playback {
    frames: Arc<[Bytes]>,
    next: usize,
    left: u64,
    breaks: Option<Break>,
    pace: Option<Pace>,
    /// What was handed on has been flushed, so that a break loses none of it.
    flushed: bool,
    over: bool,
    /// Resets the connection.
    reset: CancellationToken,
    pen: Option<Pen>,
    in_flight: Option<InFlight>,
}

/// Silence between frames.
struct Pace {
    delay: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Playback {
    /// Hands on `frames`, then ends, or breaks.
    pub(crate) fn new(frames: Arc<[Bytes]>, breaks: Option<Break>, reset: CancellationToken) -> Self {
        let left = frames.iter().map(|frame| frame.len() as u64).sum();
        Self {
            frames,
            next: 0,
            left,
            breaks,
            pace: None,
            flushed: false,
            over: false,
            reset,
            pen: None,
            in_flight: None,
        }
    }

    /// With this silence between frames.
    pub(crate) fn paced(mut self, delay: Duration) -> Self {
        if !delay.is_zero() && self.frames.len() > 1 {
            self.pace = Some(Pace { delay, sleep: Box::pin(sleep_until(Instant::now())) });
        }
        self
    }

    /// Writing down what happens, and counting as under way until it is over.
    pub(crate) fn recorded(mut self, pen: Pen, in_flight: Option<InFlight>) -> Self {
        (self.pen, self.in_flight) = (Some(pen), in_flight);
        self
    }

    fn end(&mut self, ending: Ending) {
        self.over = true;
        self.in_flight = None;
        if let Some(pen) = &mut self.pen {
            pen.end(ending);
        }
    }

    fn hand_on(&mut self) -> Bytes {
        let frame = self.frames[self.next].clone();
        self.next += 1;
        self.left -= frame.len() as u64;
        if let Some(pen) = &self.pen {
            let length = frame.len();
            pen.write(|entry| {
                (entry.sent_bytes, entry.sent_frames) = (entry.sent_bytes + length, entry.sent_frames + 1);
            });
        }
        // The server may not ask again once the announced length is out.
        if self.next == self.frames.len() && self.breaks.is_none() {
            self.end(Ending::Complete);
        }
        frame
    }

    fn break_off(&mut self, how: Break, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.flushed {
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match how {
            Break::Hang => Poll::Pending,
            Break::End => {
                self.end(Ending::Broken);
                Poll::Ready(None)
            }
            Break::Close => {
                self.end(Ending::Broken);
                Poll::Ready(Some(Err(io::Error::other("cut on command"))))
            }
            Break::Reset => {
                self.end(Ending::Broken);
                self.reset.cancel();
                Poll::Pending
            }
        }
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if this.over {
            // Until the reset takes the connection down, there is no end to be seen.
            return if this.breaks == Some(Break::Reset) { Poll::Pending } else { Poll::Ready(None) };
        }
        if this.next > 0
            && let Some(pace) = &mut this.pace
        {
            ready!(pace.sleep.as_mut().poll(cx));
        }
        if this.next < this.frames.len() {
            if let Some(pace) = &mut this.pace {
                pace.sleep.as_mut().reset(Instant::now() + pace.delay);
            }
            return Poll::Ready(Some(Ok(Frame::data(this.hand_on()))));
        }
        if let Some(how) = this.breaks {
            return this.break_off(how, cx);
        }
        this.end(Ending::Complete);
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.breaks.is_none() && self.next == self.frames.len()
    }

    fn size_hint(&self) -> SizeHint {
        match (self.frames.len(), self.breaks) {
            (0 | 1, None | Some(Break::End)) => SizeHint::with_exact(self.left),
            _ => SizeHint::default(),
        }
    }
}
