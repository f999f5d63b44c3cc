//! Reading a body into memory. `progress` limits the gaps, not the total, so a slow upload is served.
//! Never holds more than it is told to, and what came with the last read.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::rest::Rest;
use super::{Incoming, Limits};
use crate::alarm::{Alarm, Patience};
use crate::respond::Refusal;

/// What is allocated for a body whose length is announced, at most; beyond it the buffer grows with what
/// really arrives.
const TRUSTED_LENGTH: u64 = 1 << 20;

/// A body that is too large is read on for this long, and thrown away, so that the client reads the
/// answer instead of a reset connection.
const THROW_AWAY: Duration = Duration::from_secs(5);

/// A body that is being read.
pub(super) struct Gathering {
    incoming: Incoming,
    limits: Limits,
    announced: Option<u64>,
    wait: Wait,
    body: BytesMut,
    ended: bool,
}

/// The wait for a body's next piece.
pub(super) struct Wait {
    patience: Patience,
    alarm: Alarm,
}

impl Gathering {
    /// Unless it says beforehand that it is too large.
    pub(super) async fn begin(mut incoming: Incoming, limits: Limits) -> Result<Self, Refusal> {
        let announced = incoming.announced();
        if announced.is_some_and(|length| length > limits.largest) {
            if !limits.announced_first {
                throw_away(&mut incoming, limits.largest).await;
            }
            return Err(Refusal::TooLarge { largest: limits.largest });
        }
        let capacity = usize::try_from(announced.unwrap_or(0).min(TRUSTED_LENGTH)).unwrap_or(0);
        let body = BytesMut::with_capacity(capacity);
        let wait = Wait { patience: Patience::new(limits.progress), alarm: Alarm::default() };
        Ok(Self { incoming, limits, announced, wait, body, ended: false })
    }

    /// Reads what is to be kept of it. True if that is all.
    pub(super) async fn keep(&mut self) -> Result<bool, Refusal> {
        self.read(self.limits.kept).await?;
        Ok(self.ended || self.announced == Some(self.body.len() as u64))
    }

    /// Reads it to its end.
    pub(super) async fn all(mut self) -> Result<Bytes, Refusal> {
        self.read(u64::MAX).await?;
        Ok(self.body.freeze())
    }

    /// What was read.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// What was read, and the rest, still to come.
    pub(super) fn split(self) -> (Bytes, Rest) {
        let Self { incoming, limits, announced, wait, body, ended: _ } = self;
        let beginning = body.freeze();
        let rest = Rest::new(incoming, wait, limits.largest, announced, &beginning);
        (beginning, rest)
    }

    /// Until there are `enough` bytes, or the end.
    async fn read(&mut self, enough: u64) -> Result<(), Refusal> {
        let largest = self.limits.largest;
        while !self.ended && (self.body.len() as u64) < enough {
            let more = poll_fn(|cx| {
                let more = self.incoming.poll_into(&mut self.body, cx);
                self.wait.within(more, cx)
            });
            self.ended = !more.await?;
            if self.body.len() as u64 > largest {
                self.body = BytesMut::new();
                throw_away(&mut self.incoming, largest).await;
                return Err(Refusal::TooLarge { largest });
            }
        }
        Ok(())
    }
}

impl Wait {
    /// What comes next, if it comes in time.
    pub(super) fn within<T>(
        &mut self,
        next: Poll<Result<T, Refusal>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Refusal>> {
        if next.is_ready() {
            self.patience.stop();
            return next;
        }
        ready!(self.patience.poll_expired(&mut self.alarm, cx));
        Poll::Ready(Err(Refusal::SlowBody))
    }
}

async fn throw_away(incoming: &mut Incoming, most: u64) {
    let read = async {
        let mut thrown = 0;
        while let Ok(Some(piece)) = poll_fn(|cx| incoming.poll_piece(cx)).await {
            thrown += piece.len() as u64;
            if thrown > most {
                return;
            }
        }
    };
    let _ = timeout(THROW_AWAY, read).await;
}
