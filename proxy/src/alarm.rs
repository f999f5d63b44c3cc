//! Limits on waits, for connections that wait again and again: setting one later costs nothing until it would have
//! rung, and one alarm of a connection serves all its requests.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Rings at the instant it was last asked about.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// Made at the first wait, moved when it rings too early or would ring too late: a timer for each wait would cost
    /// more than what is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Measures one wait after the other. Time that passes while nobody waits (a slow reader) does not count.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    waiting_since: Option<Instant>,
}

impl Alarm {
    /// Ready from `due` on.
    pub(crate) fn poll_at(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, waiting_since: None }
    }

    /// Something came: the wait is over.
    pub(crate) fn stop(&mut self) {
        self.waiting_since = None;
    }

    /// Ready when the present wait, which begins now if none was running, has taken longer than the limit.
    pub(crate) fn poll_expired(&mut self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        alarm.poll_at(since + self.limit, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_last_told_to_however_that_moved() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut alarm = Alarm::default();
        for due in [at(75), at(90), at(30)] {
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll_at(due, cx))).await.is_pending());
        }
        poll_fn(|cx| alarm.poll_at(at(30), cx)).await;
        assert_eq!(Instant::now(), at(30));
        poll_fn(|cx| alarm.poll_at(at(60), cx)).await;
        assert_eq!(Instant::now(), at(60));
    }
}
