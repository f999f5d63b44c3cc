//! An alarm that is set often and rings seldom: setting it later costs nothing until it would have rung.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Rings at the instant it was last asked about.
#[derive(Default)]
pub(super) struct Alarm {
    /// Made at the first wait, moved when it rings too early or would ring too late.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready from `due` on.
    pub(super) fn poll_at(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
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
