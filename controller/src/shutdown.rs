//! When to stop: a signal, or the end of the process that started this one.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Between looks at whether the parent is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Waits for SIGTERM or SIGINT and cancels `stop`; then for a second one, and ends the process at once.
/// Returns early only if signals cannot be listened to.
pub async fn on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    for again in [false, true] {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, again, "asked to stop");
        if again {
            // 128 and the number of SIGTERM, as a shell would say it.
            std::process::exit(143);
        }
        stop.cancel();
    }
    Ok(())
}

/// Cancels `stop` when the process that started this one has gone, however it went: nobody would stop us.
pub async fn on_parent_gone(parent: Option<u32>, stop: CancellationToken) {
    let Some(parent) = parent else { return std::future::pending().await };
    while std::os::unix::process::parent_id() == parent {
        tokio::time::sleep(LOOK).await;
    }
    info!(parent, "the process that started this one has gone");
    stop.cancel();
    std::future::pending::<()>().await;
}
