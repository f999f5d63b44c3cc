//! Asks the history what the accounts with a budget have spent in their period, and tells the loop. Counts
//! nothing by itself: the sums are kept with the rows, so a restart and a replay change nothing.
//! Never decides whether a budget is spent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_controller_core::budget::{Spent, counted};
use penstock_controller_core::objects::Objects;
use penstock_proto::ids::AccountId;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::reconcile::{Clock, Reconciler};
use crate::store::Store;
use crate::store::error::StoreError;

/// Between questions. A budget can be overrun by what is spent in this time; the question reads at most a
/// month of daily sums.
const PACE: Duration = Duration::from_secs(2);

/// Keeps what accounts have spent known.
pub struct Budgets {
    /// Which accounts have a budget.
    pub objects: watch::Receiver<Arc<Objects>>,
    /// Who is told.
    pub reconciler: Reconciler,
    /// The time of day.
    pub clock: Clock,
}

impl Budgets {
    /// Asks on and on; never ends by itself. While the database is away, what was known stays known.
    pub async fn run(mut self, store: &Store) {
        let mut is_away = false;
        loop {
            let objects = Arc::clone(&self.objects.borrow_and_update());
            let counted = counted(&objects, (self.clock)());
            match ask(store, &counted).await {
                Ok(spent) => {
                    if std::mem::take(&mut is_away) {
                        info!("what accounts have spent is known again");
                    }
                    self.reconciler.set_spent(spent).await;
                }
                Err(error) if !is_away => {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, "what accounts have spent is not known; budgets stand as they were");
                    is_away = true;
                }
                Err(_) => {}
            }
            self.wait(counted.is_empty()).await;
        }
    }

    /// Until it is time to ask again: at once for a new budget, else after [`PACE`].
    async fn wait(&mut self, no_budgets: bool) {
        let edited = async {
            if self.objects.changed().await.is_err() {
                // The source ended: so will the process.
                std::future::pending::<()>().await;
            }
        };
        if no_budgets {
            edited.await;
        } else {
            let _ = tokio::time::timeout(PACE, edited).await;
        }
    }
}

async fn ask(
    store: &Store,
    counted: &BTreeMap<jiff::Timestamp, Vec<AccountId>>,
) -> Result<BTreeMap<AccountId, Spent>, StoreError> {
    let mut spent = BTreeMap::new();
    for (since, accounts) in counted {
        spent.extend(store.spent(*since, accounts).await?);
    }
    Ok(spent)
}
