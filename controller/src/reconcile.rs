//! Owns the world. Takes in what changed, decides anew and publishes the plan: at once when something
//! began or ended, within a second when something small moved, and when time alone changes the plan.
//! Never writes anything but the published plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use penstock_controller_core::budget::Spent;
use penstock_controller_core::objects::Objects;
use penstock_controller_core::world::Observed;
use penstock_controller_core::{Plan, World, reconcile};
use penstock_proto::ids::AccountId;
use penstock_proto::issuer::TokenIssuer;
use penstock_proto::observation::Observation;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::ReconcileMetrics;
use crate::proxies::Registry;

/// Requests that wait to be taken in; whoever asks waits when it is full.
const QUEUE: usize = 1_024;

/// Something small is published within this time.
const REGULAR: Duration = Duration::from_secs(1);

/// Between two decisions at least, and at least as long as the last one took: what comes in a burst is decided on
/// together, and with ten thousand accounts half of a core stays free.
const BURST: Duration = Duration::from_millis(5);

/// The plan is looked at this often whatever happens, because clocks are set and machines sleep.
const LOOK: Duration = Duration::from_secs(60);

/// The time of day. The loop's only one, so that a test can hold it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Asks the loop. Cheap to clone.
#[derive(Clone)]
pub struct Reconciler {
    asks: mpsc::Sender<Ask>,
    plan: watch::Receiver<Arc<Plan>>,
}

/// The loop. Run it with [`Loop::run`].
pub struct Loop {
    world: World,
    asks: mpsc::Receiver<Ask>,
    objects: watch::Receiver<Arc<Objects>>,
    registry: Registry,
    plan: watch::Sender<Arc<Plan>>,
    clock: Clock,
    metrics: ReconcileMetrics,
    /// A proxy came, went, or holds other accounts than before.
    proxies_changed: bool,
    /// When to decide anew, at the latest.
    due: Instant,
    /// Not to be decided anew before.
    rests_until: Option<Instant>,
}

enum Ask {
    Observe(Vec<Observation>, oneshot::Sender<()>),
    ForgetLimits(AccountId, oneshot::Sender<()>),
    SetSpent(BTreeMap<AccountId, Spent>, oneshot::Sender<()>),
    SetIssuer(TokenIssuer, oneshot::Sender<()>),
}

/// Both ends. The first plan, of the objects as they are now, is published before this returns.
pub fn channel(
    objects: watch::Receiver<Arc<Objects>>,
    registry: Registry,
    clock: Clock,
    metrics: ReconcileMetrics,
) -> (Reconciler, Loop) {
    let (asks_tx, asks) = mpsc::channel(QUEUE);
    let (plan, plan_rx) = watch::channel(Arc::default());
    let mut this = Loop {
        world: World::default(),
        asks,
        objects,
        registry,
        plan,
        clock,
        metrics,
        proxies_changed: false,
        due: Instant::now(),
        rests_until: None,
    };
    this.take_objects();
    this.publish();
    (Reconciler { asks: asks_tx, plan: plan_rx }, this)
}

impl Reconciler {
    /// The plan as it is and as it becomes.
    pub fn plan(&self) -> watch::Receiver<Arc<Plan>> {
        self.plan.clone()
    }

    /// Takes observations in; returns when they are part of the world.
    pub async fn observe(&self, observations: Vec<Observation>) {
        self.ask(|done| Ask::Observe(observations, done)).await;
    }

    /// Forgets the limits an account is known to have; returns when the next plan is due without them.
    pub async fn forget_limits(&self, account: AccountId) {
        self.ask(|done| Ask::ForgetLimits(account, done)).await;
    }

    /// Takes in what accounts have spent; returns when it is part of the world.
    pub async fn set_spent(&self, spent: BTreeMap<AccountId, Spent>) {
        self.ask(|done| Ask::SetSpent(spent, done)).await;
    }

    /// Takes in who signs the tokens of the cluster's ServiceAccounts.
    pub async fn set_issuer(&self, issuer: TokenIssuer) {
        self.ask(|done| Ask::SetIssuer(issuer, done)).await;
    }

    async fn ask(&self, ask: impl FnOnce(oneshot::Sender<()>) -> Ask) {
        let (done, taken) = oneshot::channel();
        // A loop that is gone means that the process is ending: there is nobody to tell.
        if self.asks.send(ask(done)).await.is_ok() {
            let _ = taken.await;
        }
    }
}

impl Loop {
    /// Decides and publishes until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut proxies = self.registry.changes();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // What was taken in last is to be written, too.
                    self.publish();
                    return;
                }
                () = tokio::time::sleep_until(self.due) => self.publish(),
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.take_in(ask),
                    None => return,
                },
                changed = self.objects.changed() => match changed {
                    Ok(()) => {
                        self.take_objects();
                        self.decide_within(Duration::ZERO);
                    }
                    // The source ended: so will the process.
                    Err(_) => return stop.cancelled().await,
                },
                Ok(()) = proxies.changed() => {
                    self.proxies_changed = true;
                    self.decide_within(REGULAR);
                }
            }
        }
    }

    fn take_in(&mut self, ask: Ask) {
        let now = (self.clock)();
        let done = match ask {
            Ask::Observe(observations, done) => {
                let observed = observations.iter().map(|one| self.world.observe(one, now)).max();
                self.decide_on(observed.unwrap_or(Observed::Nothing));
                done
            }
            Ask::SetSpent(spent, done) => {
                let observed = self.world.set_spent(spent);
                self.decide_on(observed);
                done
            }
            Ask::SetIssuer(issuer, done) => {
                self.world.issuer = Some(Arc::new(issuer));
                self.decide_within(Duration::ZERO);
                done
            }
            Ask::ForgetLimits(account, done) => {
                self.world.forget_limits(&account, now);
                self.decide_within(Duration::ZERO);
                done
            }
        };
        // Whoever asked may have stopped waiting.
        let _ = done.send(());
    }

    fn take_objects(&mut self) {
        let objects = Arc::clone(&self.objects.borrow_and_update());
        self.world.set_objects(Objects::clone(&objects));
    }

    fn decide_on(&mut self, observed: Observed) {
        match observed {
            Observed::Nothing => {}
            Observed::Small => self.decide_within(REGULAR),
            Observed::Change => self.decide_within(Duration::ZERO),
        }
    }

    fn decide_within(&mut self, time: Duration) {
        let now = Instant::now();
        let earliest = self.rests_until.unwrap_or(now);
        self.due = self.due.min((now + time).max(earliest));
    }

    fn publish(&mut self) {
        let (started, now) = (Instant::now(), (self.clock)());
        if std::mem::take(&mut self.proxies_changed) {
            self.world.in_use_by = self.registry.in_use_by();
        }
        let plan = reconcile(&self.world, now);
        let until = plan.next_change.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        let took = started.elapsed();
        self.metrics.decided(took, &plan);
        let rests_until = started + took + took.max(BURST);
        self.rests_until = Some(rests_until);
        // Never at once again: a plan that time has just changed must not be decided on in a circle.
        self.due = (started + until.unwrap_or(LOOK).min(LOOK)).max(rests_until);
        self.plan.send_if_modified(|held| {
            let changed = **held != plan;
            if changed {
                *held = Arc::new(plan);
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests;
