//! Noticing edits: the system tells of changes in the folder, and the folder is looked at now and then all the
//! same, because not every file system tells.

use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Directory;

/// Editors write in several steps: look when nothing has happened for this long.
const QUIET: Duration = Duration::from_millis(50);

/// … but do not wait longer than this, so that a busy folder is looked at too.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the folder is looked at without being told, for network file systems.
const LOOK: Duration = Duration::from_secs(5);

impl Directory {
    /// Notices edits until `stop`. Where the system cannot tell of them, the folder is looked at every five
    /// seconds.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let changed = Arc::new(Notify::new());
        let watcher = self.watcher(&changed);
        if let Err(error) = &watcher {
            warn!(%error, "edits of manifests cannot be noticed at once; the folder is looked at every 5 s");
        }
        loop {
            // What was edited before the watcher was there is found by looking first.
            self.reload().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = settled(&changed) => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn watcher(&self, changed: &Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
        let changed = Arc::clone(changed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the manifests is an event too, and must not be the cause of reading them again.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                changed.notify_one();
            }
        })?;
        watcher.watch(&self.state.lock().folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

/// Returns when something changed and then nothing for a while.
async fn settled(changed: &Notify) {
    changed.notified().await;
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            () = &mut patience => return,
            () = tokio::time::sleep(QUIET) => return,
            () = changed.notified() => {}
        }
    }
}
