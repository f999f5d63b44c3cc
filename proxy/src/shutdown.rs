//! The end of the process, in order: asked by a signal, readiness off, no new connections, running
//! streams finish in their time, history is stored or spooled.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

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
