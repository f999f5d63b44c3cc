//! Does what a plan says beyond being published: writes statuses, and tells of what began or ended once it is
//! written. A replica that does not lead only adds to accounts what it knows and they do not say.
//! Decides nothing: what may be written, and when, is `penstock_controller_core::damp`. A plan that came while
//! one was applied is applied next, those in between are skipped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use penstock_controller_core::Plan;
use penstock_controller_core::damp::Pacer;
use penstock_controller_core::reconcile::{Refused, StatusWrite, Transition};
use penstock_controller_core::validate::Kind;
use penstock_crds::account::status::State;
use penstock_proto::ids::ObjectId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cluster::{Cluster, Notice, Outcome, Written};
use crate::leader::{Election, Leadership};
use crate::metrics::ClusterMetrics;

/// What comes in a burst is written together.
const TOGETHER: Duration = Duration::from_millis(100);

/// After a failure the same is tried again no sooner.
const AGAIN: Duration = Duration::from_secs(1);

/// Events sent at the same time.
const TOLD_AT_ONCE: usize = 8;

/// At the end, the last plan is waited for as long.
const LAST_PLAN: Duration = Duration::from_millis(500);

/// Applies plans until `stop`, and the last one before it ends.
pub async fn run(
    cluster: Cluster,
    mut plans: watch::Receiver<Arc<Plan>>,
    mut election: Election,
    metrics: ClusterMetrics,
    stop: CancellationToken,
) {
    let (pacer, began) = (Pacer::default(), Instant::now());
    let mut applier = Applier { cluster, pacer, began, metrics, failing: false };
    loop {
        let ends = stop.is_cancelled();
        if ends {
            // Whoever decides ends with a last plan.
            let _ = tokio::time::timeout(LAST_PLAN, async { while plans.changed().await.is_ok() {} }).await;
        }
        let plan = Arc::clone(&plans.borrow_and_update());
        let next = applier.apply(&plan, &election, ends).await;
        if ends {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = async {
                tokio::time::sleep(TOGETHER).await;
                tokio::select! {
                    // An error means that the loop has ended, and with it the process.
                    _ = plans.changed() => {}
                    () = election.changed() => {}
                    () = at(next) => {}
                }
            } => {}
        }
    }
}

async fn at(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

struct Applier {
    cluster: Cluster,
    pacer: Pacer,
    began: Instant,
    metrics: ClusterMetrics,
    /// The last pass left something unwritten, and that was said.
    failing: bool,
}

impl Applier {
    /// Writes what is due; all of it, if this is the end. When something else is, if nothing changes.
    async fn apply(&mut self, plan: &Plan, election: &Election, ends: bool) -> Option<Instant> {
        let (leadership, now) = (election.leadership(), self.began.elapsed());
        self.pacer.saw(&plan.versions, now);
        let (due, mut next) = self.pacer.choose(&plan.writes, leadership.is_some(), now, ends);
        if !due.is_empty() {
            due.iter().for_each(|write| self.pacer.wrote(write, now));
            let written = match &leadership {
                Some(leadership) => write_as_leader(leadership, &self.cluster, &due).await,
                None => self.cluster.write_status(&due).await,
            };
            if let Some(leadership) = &leadership {
                tell(leadership, &self.cluster, plan, &due, &written).await;
            }
            if self.note(&due, written) {
                // Whatever else is due would fail, too.
                next = Some(self.began.elapsed() + AGAIN);
            }
        }
        next.map(|next| self.began + next)
    }

    /// Remembers how it went; whether something is to be tried again.
    fn note(&mut self, due: &[StatusWrite], written: Written) -> bool {
        for (write, outcome) in due.iter().zip(&written.outcomes) {
            self.metrics.wrote_status(outcome.as_label());
            if *outcome == Outcome::Failed {
                self.pacer.failed(write);
            }
        }
        let failing = written.failed.is_some();
        if let Some(error) = written.failed
            && !self.failing
        {
            let error: &dyn std::error::Error = &error;
            warn!(error, "statuses could not be written; they are in force all the same");
        }
        self.failing = failing;
        failing
    }
}

async fn write_as_leader(_leader: &Leadership, cluster: &Cluster, writes: &[StatusWrite]) -> Written {
    cluster.write_status(writes).await
}

/// Tells of what began or ended, now that it stands in the objects: the next plan will not say it again.
async fn tell(_leader: &Leadership, cluster: &Cluster, plan: &Plan, due: &[StatusWrite], written: &Written) {
    let outcomes = due.iter().zip(&written.outcomes).filter(|(_, outcome)| **outcome == Outcome::Written);
    let stand: BTreeSet<(Kind, &ObjectId)> = outcomes
        .map(|(write, _)| {
            let (kind, id, _) = write.target();
            (kind, id)
        })
        .collect();
    let transitions = plan.transitions.iter().filter(|told| stand.contains(&(Kind::Account, &told.account)));
    let refused = plan.refused.iter().filter(|refused| stand.contains(&(refused.kind, &refused.id)));
    let notices = transitions.map(Notice::Transition).chain(refused.map(Notice::Refused));
    let telling: Vec<_> = notices
        .map(|notice| {
            log(notice);
            cluster.tell(notice)
        })
        .collect();
    stream::iter(telling).buffer_unordered(TOLD_AT_ONCE).collect::<()>().await;
}

fn log(notice: Notice<'_>) {
    match notice {
        Notice::Transition(Transition { account, from, to, reason, message }) => {
            let from = from.map_or("new", State::as_label);
            let to = to.as_label();
            info!(account = account.as_str(), from, to, reason, message, "an account changed its state");
        }
        Notice::Refused(Refused { kind, id, reason, message }) => {
            warn!(kind = kind.name(), id = id.as_str(), reason, message, "an object is refused");
        }
    }
}
