//! What a source of objects has published, and who looks at it. Never decides what that is.

use std::sync::Arc;

use penstock_controller_core::objects::Objects;
use penstock_controller_core::price::PriceTable;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Problem;

/// The objects in force, what is not, and what requests cost: as they are and as they become.
pub struct Published {
    objects: watch::Sender<Arc<Objects>>,
    problems: watch::Sender<Arc<Vec<Problem>>>,
    prices: watch::Sender<Arc<PriceTable>>,
    words: Words,
}

/// How the log speaks of what a source holds: `… not in force`, `… in force again`.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// One of it, e.g. `a manifest is`.
    pub one: &'static str,
    /// All of it, e.g. `all manifests are`.
    pub all: &'static str,
}

impl Published {
    /// No objects and no problems yet.
    pub fn new(prices: PriceTable, words: Words) -> Self {
        Self {
            objects: watch::Sender::default(),
            problems: watch::Sender::default(),
            prices: watch::Sender::new(Arc::new(prices)),
            words,
        }
    }

    /// See [`super::Cluster::objects`].
    pub fn objects(&self) -> watch::Receiver<Arc<Objects>> {
        self.objects.subscribe()
    }

    /// See [`super::Cluster::problems`].
    pub fn problems(&self) -> watch::Receiver<Arc<Vec<Problem>>> {
        self.problems.subscribe()
    }

    /// See [`super::Cluster::prices`].
    pub fn prices(&self) -> watch::Receiver<Arc<PriceTable>> {
        self.prices.subscribe()
    }

    pub(super) fn set_objects(&self, objects: Objects) {
        self.objects.send_if_modified(|held| replace(held, objects));
    }

    pub(super) fn set_prices(&self, prices: PriceTable) {
        self.prices.send_replace(Arc::new(prices));
    }

    /// Says in the log which are new, and when there are none any more.
    pub(super) fn set_problems(&self, problems: Vec<Problem>) {
        let before = Arc::clone(&self.problems.borrow());
        if self.problems.send_if_modified(|held| replace(held, problems)) {
            let Words { one, all } = self.words;
            let now = self.problems.borrow();
            for problem in now.iter().filter(|problem| !before.contains(problem)) {
                warn!(%problem, "{one} not in force");
            }
            if now.is_empty() {
                info!("{all} in force again");
            }
        }
    }
}

/// Publishes a value if it is another one.
fn replace<T: PartialEq>(held: &mut Arc<T>, next: T) -> bool {
    let changed = **held != next;
    if changed {
        *held = Arc::new(next);
    }
    changed
}
