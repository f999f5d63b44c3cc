//! Does what a plan says beyond being published: tells of transitions, and, as leader, writes statuses.
//! Decides nothing; a plan that came while one was applied is applied next, those in between are skipped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_controller_core::Plan;
use penstock_controller_core::reconcile::{StatusWrite, Transition};
use penstock_crds::account::status::State;
use penstock_proto::ids::AccountId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cluster::{Cluster, WriteError};
use crate::leader::{Election, Leadership};

/// Between two writes of statuses at least: they are for people and for a start after this one, proxies
/// are told at once.
const PACE: Duration = Duration::from_secs(1);

/// Applies plans until `stop`, and the last one before it ends.
pub async fn run(
    cluster: Cluster,
    mut plans: watch::Receiver<Arc<Plan>>,
    election: Election,
    stop: CancellationToken,
) {
    let mut told = Told::default();
    loop {
        let plan = Arc::clone(&plans.borrow_and_update());
        told.tell(&plan.transitions);
        if let Some(leadership) = election.leadership()
            && let Err(error) = write(&leadership, &cluster, &plan.writes).await
        {
            let error: &dyn std::error::Error = &error;
            warn!(error, "statuses could not be written; they are in force all the same");
        }
        if stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = async {
                tokio::time::sleep(PACE).await;
                // An error means that the loop has ended, and with it the process.
                let _ = plans.changed().await;
            } => {}
        }
    }
}

async fn write(_leader: &Leadership, cluster: &Cluster, writes: &[StatusWrite]) -> Result<(), WriteError> {
    if writes.is_empty() { Ok(()) } else { cluster.write_status(writes).await }
}

/// The state last told of each account, so that each transition is told once: a plan repeats them until
/// the statuses are written.
#[derive(Default)]
struct Told(BTreeMap<AccountId, (State, String)>);

impl Told {
    fn tell(&mut self, transitions: &[Transition]) {
        for Transition { account, from, to, reason, message } in transitions {
            let now = (*to, reason.clone());
            if self.0.get(account) == Some(&now) {
                continue;
            }
            let from = from.map_or_else(|| "new".to_owned(), |state| format!("{state:?}"));
            info!(account = account.as_str(), from, to = ?to, reason, message, "an account changed its state");
            self.0.insert(account.clone(), now);
        }
    }
}
