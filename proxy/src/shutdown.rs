//! The end of the process, in order: asked by a signal, readiness off, no new connections, running
//! streams finish in their time, history is stored or spooled.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Between looks at whether the parent is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Returns when the process that started this one has gone, however it went: nobody would stop us.
pub(crate) async fn parent_gone(parent: Option<u32>) {
    let Some(parent) = parent else { return std::future::pending().await };
    while std::os::unix::process::parent_id() == parent {
        tokio::time::sleep(LOOK).await;
    }
    info!(parent, "the process that started this one has gone");
}

/// The stages of an end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled: answer not ready, accept nothing, finish what runs.
    pub drain: CancellationToken,
    /// Cancelled: whatever still runs is cut off; the background tasks end.
    pub stop: CancellationToken,
}

impl Shutdown {
    /// Nothing asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the end on SIGTERM or SIGINT; a second one cuts it short.
    pub async fn on_signal(self) -> std::io::Result<()> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        for stage in [&self.drain, &self.stop] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            info!(signal = name, "asked to stop");
            stage.cancel();
        }
        std::future::pending().await
    }
}
