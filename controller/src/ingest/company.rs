//! What other controllers on the same database store, for the live views of this one; and what this one
//! stores, for theirs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::debug;
use uuid::Uuid;

use super::{Ingester, Live};
use crate::store::announce::{Announcement, Announcements};

/// Between tries to listen.
const RETRY: Duration = Duration::from_secs(2);

/// The other controllers.
#[derive(Clone)]
pub(super) struct Company {
    pub(super) me: Uuid,
    /// Whether there are any.
    pub(super) others: watch::Receiver<bool>,
}

impl Ingester {
    /// Tells the others, if there are any. A view may miss what could not be told.
    pub(super) async fn announce(&self, inserted: impl IntoIterator<Item = Uuid>) {
        let Some(company) = self.company.as_ref().filter(|company| *company.others.borrow()) else { return };
        let announcement = Announcement::of(company.me, inserted);
        if announcement.ids.is_empty() {
            return;
        }
        if let Err(error) = self.store.announce(&announcement).await {
            debug!(error = &error as &dyn std::error::Error, "the other controllers were not told");
        }
    }

    /// Shows what the others store, while there are any. Never ends by itself.
    pub(super) async fn follow_others(&self) {
        let Some(Company { me, mut others }) = self.company.clone() else {
            return std::future::pending().await;
        };
        loop {
            if others.wait_for(|others| *others).await.is_err() {
                return std::future::pending().await;
            }
            match self.store.announcements().await {
                Ok(heard) => tokio::select! {
                    () = self.show(me, heard) => {}
                    _ = others.wait_for(|others| !others) => continue,
                },
                Err(error) => {
                    debug!(error = &error as &dyn std::error::Error, "the other controllers are not heard");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn show(&self, me: Uuid, mut heard: Announcements) {
        while let Some(Announcement { from, ids, more }) = heard.next().await {
            if from == me || self.live.receiver_count() == 0 {
                continue;
            }
            // An error in what follows says that the last reader has just left.
            match self.store.requests_by_id(&ids).await {
                Ok(rows) => rows.into_iter().for_each(|row| {
                    let _ = self.live.send(Live::Stored(Arc::new(row)));
                }),
                Err(_) => drop(self.live.send(Live::Missed(ids.len() as u64))),
            }
            if more > 0 {
                let _ = self.live.send(Live::Missed(more));
            }
        }
    }
}
