//! The life of the history: tables brought to this version, events written, days made ahead and removed
//! when they are no longer kept, and budgets told what was spent. While the database is away all this waits; nothing else does.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use penstock_controller_core::price::PriceTable;
use penstock_proto::event::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::budget::Budgets;
use crate::fleet::Fleet;
use crate::ingest::{Ingester, Pricer};
use crate::leader::{Election, Leadership};
use crate::store::Store;
use crate::store::day::Day;
use crate::store::error::StoreError;

/// Between looks at the days: a day that is over is removed within the hour.
const LOOK: Duration = Duration::from_hours(1);
/// Between tries while the database is away.
const RETRY: Duration = Duration::from_secs(2);
/// Between tries while it refuses what only a person can mend.
const RETRY_REFUSED: Duration = Duration::from_secs(30);
/// Reports that come while the tables are brought to this version wait for it this long, then they are
/// refused until it is done.
const PATIENCE: Duration = Duration::from_secs(1);
/// Sums by the hour are kept for longer than rows: a year can be compared with the one before.
const SUMS_KEPT: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);

/// Writes events until `stop`, and then those that wait. Without a database there is no history and all
/// else goes on, so there is nothing that ends this early.
pub async fn run(
    store: Store,
    ingester: Ingester,
    history_days: u32,
    election: Election,
    budgets: Budgets,
    fleet: Arc<Fleet>,
    stop: CancellationToken,
) {
    if stop.run_until_cancelled(migrate(&store, &ingester)).await.is_none() {
        return;
    }
    tokio::select! {
        () = ingester.run(stop) => {}
        () = keep_days(&store, history_days, election) => {}
        () = budgets.run(&store) => {}
        () = fleet.run(&store) => {}
    }
    fleet.leave(&store).await;
}

/// What an event costs, by the table in force: the model that answered counts, else the one that was sent.
pub fn pricer(prices: watch::Receiver<Arc<PriceTable>>) -> Pricer {
    Arc::new(move |event: &Event| {
        let table = Arc::clone(&prices.borrow());
        let answered = !event.model_answered.is_empty();
        let model = if answered { &event.model_answered } else { &event.model_sent };
        let cost = table.cost(&event.provider, model, &event.usage)?;
        i64::try_from(cost.0).ok()
    })
}

/// Brings the tables to this version, however long the database is away. Until then reports are refused,
/// and the proxies keep them.
async fn migrate(store: &Store, ingester: &Ingester) {
    let mut told = false;
    loop {
        let mut migration = std::pin::pin!(store.migrate());
        let result = if let Ok(result) = tokio::time::timeout(PATIENCE, &mut migration).await {
            result
        } else {
            ingester.refuse_batches(RETRY);
            migration.await
        };
        let Err(error) = result else { break };
        let delay = if error.is_transient() { RETRY } else { RETRY_REFUSED };
        tell(&error, &mut told);
        ingester.refuse_batches(delay);
        tokio::time::sleep(delay).await;
    }
    ingester.take_batches();
}

/// What passes by itself is told once.
fn tell(error: &StoreError, told: &mut bool) {
    let (is_transient, error): (_, &dyn std::error::Error) = (error.is_transient(), error);
    if !is_transient {
        error!(error, "the database refuses to hold the history; proxies keep it until that is mended");
    } else if !std::mem::replace(told, true) {
        warn!(error, "the database is away; proxies keep the history until it is back");
    }
}

async fn keep_days(store: &Store, days: u32, election: Election) {
    loop {
        let now = Timestamp::now();
        let mut result = store.prepare_days(now).await;
        if result.is_ok()
            && let Some(leadership) = election.leadership()
        {
            result = remove_old(&leadership, store, days, now).await;
        }
        if let Err(error) = result {
            let error: &dyn std::error::Error = &error;
            warn!(error, "the days of the history could not be kept in order; trying again");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes stored data, so only a leader may.
async fn remove_old(
    _leader: &Leadership,
    store: &Store,
    days: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Today is one of the days that are kept.
    let kept = i32::try_from(days).unwrap_or(i32::MAX).saturating_sub(1);
    let first = Day::of(now).plus(kept.saturating_neg());
    let sums = now.saturating_sub(SUMS_KEPT).unwrap_or(Timestamp::MIN).min(first.start());
    let removed = store.remove_before(first, sums, now).await?;
    if removed.partitions > 0 {
        info!(days = removed.partitions, "days that are no longer kept were removed");
    }
    Ok(())
}
