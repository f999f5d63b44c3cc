//! A limit on the wait for the next piece, that costs nothing while pieces come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Measures one wait after the other. Time that passes while nobody waits (a slow reader) does not count.
#[derive(Debug)]
pub(crate) struct WaitTimer {
    limit: Duration,
    waiting_since: Option<Instant>,
    /// Registered at the first wait and moved only when it fires: a timer per piece would cost more than the piece.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl WaitTimer {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, waiting_since: None, alarm: None }
    }

    /// Something came: the wait is over.
    pub(crate) fn stop(&mut self) {
        self.waiting_since = None;
    }

    /// Ready when the present wait, which begins now if none was running, has taken longer than the limit.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = since + self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= due {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    }
}
