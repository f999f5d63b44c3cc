//! One partition per day, made ahead and on demand, dropped whole when its day is no longer kept.
//!
//! Writers hold [`LOCK`] shared while they store a batch; what makes or drops a partition holds it alone.
//! So a day is either there for the whole of a batch or known to be gone.

use std::collections::BTreeSet;

use deadpool_postgres::{GenericClient, Transaction};
use jiff::Timestamp;
use jiff::civil::Date;

use super::Store;
use super::day::Day;
use super::error::StoreError;
use super::queries::span::{HOURS_KEPT, MINUTES_KEPT};

/// The advisory lock of the tables' shape. Any number will do that nobody else uses.
pub(super) const LOCK: i64 = 0x0070_656e_6461_7973;

/// Days made ahead: enough that midnight, also in a proxy whose clock is fast, finds its partition there.
const AHEAD: i32 = 2;

/// How long to wait for questions to finish before a partition is dropped; the next round tries again.
const DROP_PATIENCE: &str = "5s";

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Days whose rows are gone.
    pub partitions: u64,
    /// Lines of the sums that are gone.
    pub rollup_lines: u64,
}

impl Store {
    /// Makes the partitions of today and the next days. Cheap when they are there.
    pub async fn prepare_days(&self, now: Timestamp) -> Result<(), StoreError> {
        let today = Day::of(now);
        self.ensure(&(0..=AHEAD).map(|days| today.plus(days)).collect()).await
    }

    /// Removes the rows of days before `rows`, and sums older than `sums` (by the minute also those older
    /// than [`MINUTES_KEPT`], by the hour those older than [`HOURS_KEPT`]). Rows of removed days are not
    /// stored again, should a proxy replay them from a spool that old. Only one controller of a fleet
    /// should do this at a time; if two do, nothing breaks.
    pub async fn remove_before(
        &self,
        rows: Day,
        sums: Timestamp,
        now: Timestamp,
    ) -> Result<Removed, StoreError> {
        let step = "remove old history";
        let mut client = self.writer().await?;
        let tx = client.transaction().await.map_err(StoreError::at(step))?;
        let patience = format!("SET LOCAL lock_timeout = '{DROP_PATIENCE}'");
        tx.batch_execute(&patience).await.map_err(StoreError::at(step))?;
        lock(&tx, "pg_advisory_xact_lock").await?;
        tx.execute("UPDATE retention SET removed_before = greatest(removed_before, $1)", &[&rows.date()])
            .await
            .map_err(StoreError::at(step))?;
        let mut removed = Removed::default();
        let old: Vec<Day> = existing(&tx).await?.into_iter().filter(|day| *day < rows).collect();
        for day in &old {
            let drop = format!("DROP TABLE {}", day.partition());
            tx.batch_execute(&drop).await.map_err(StoreError::at(step))?;
            removed.partitions += 1;
        }
        let older_than = |kept| now.saturating_sub(kept).unwrap_or(Timestamp::MIN).max(sums);
        let (minutes, hours) = (older_than(MINUTES_KEPT), older_than(HOURS_KEPT));
        for (table, before) in [("rollup_minute", minutes), ("rollup_hour", hours), ("rollup_day", sums)] {
            let delete = format!("DELETE FROM {table} WHERE bucket < $1");
            removed.rollup_lines += tx.execute(&delete, &[&before]).await.map_err(StoreError::at(step))?;
        }
        tx.commit().await.map_err(StoreError::at(step))?;
        self.partitions.lock().retain(|day| *day >= rows);
        Ok(removed)
    }

    /// Forgets all rows and all sums; what is stored later counts from nothing. Returns the rows removed.
    pub async fn reset(&self) -> Result<u64, StoreError> {
        let step = "reset the history";
        let mut client = self.writer().await?;
        let tx = client.transaction().await.map_err(StoreError::at(step))?;
        lock(&tx, "pg_advisory_xact_lock").await?;
        let count = tx.query_one("SELECT count(*) FROM requests", &[]).await.map_err(StoreError::at(step))?;
        let removed: i64 = count.try_get(0).map_err(StoreError::at(step))?;
        let truncate = "TRUNCATE requests, rollup_minute, rollup_hour, rollup_day";
        tx.batch_execute(truncate).await.map_err(StoreError::at(step))?;
        tx.commit().await.map_err(StoreError::at(step))?;
        Ok(u64::try_from(removed).unwrap_or_default())
    }

    /// Sees to it that these days have a partition, except those that were removed on purpose.
    pub(super) async fn ensure(&self, days: &BTreeSet<Day>) -> Result<(), StoreError> {
        let missing: Vec<Day> = days.difference(&self.partitions.lock()).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let step = "make a partition";
        let mut client = self.writer().await?;
        let tx = client.transaction().await.map_err(StoreError::at(step))?;
        lock(&tx, "pg_advisory_xact_lock").await?;
        let removed_before = removed_before(&tx).await?;
        let there = existing(&tx).await?;
        let kept: Vec<Day> = missing.into_iter().filter(|day| *day >= removed_before).collect();
        for day in kept.iter().filter(|day| !there.contains(day)) {
            tx.batch_execute(&creation(*day)).await.map_err(StoreError::at(step))?;
        }
        tx.commit().await.map_err(StoreError::at(step))?;
        self.partitions.lock().extend(kept);
        Ok(())
    }

    /// Forgets which partitions are known, so that the next batch asks.
    pub(super) fn forget_partitions(&self) {
        self.partitions.lock().clear();
    }
}

/// The days that have a partition, the oldest first.
pub(super) async fn existing(client: &impl GenericClient) -> Result<BTreeSet<Day>, StoreError> {
    let step = "list partitions";
    let sql = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
        WHERE i.inhparent = 'requests'::regclass";
    let rows = client.query(sql, &[]).await.map_err(StoreError::at(step))?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let names = names.map_err(StoreError::at(step))?;
    Ok(names.iter().filter_map(|name| Day::from_partition(name)).collect())
}

/// The first day whose rows may be stored.
pub(super) async fn removed_before(tx: &Transaction<'_>) -> Result<Day, StoreError> {
    let step = "read what was removed";
    let row = tx.query_one("SELECT removed_before FROM retention", &[]).await;
    let date: Date = row.and_then(|row| row.try_get(0)).map_err(StoreError::at(step))?;
    Ok(Day::from_date(date))
}

/// Takes [`LOCK`] until the transaction ends, with `pg_advisory_xact_lock` or its shared variant.
pub(super) async fn lock(tx: &Transaction<'_>, how: &'static str) -> Result<(), StoreError> {
    let sql = format!("SELECT {how}({LOCK})");
    tx.batch_execute(&sql).await.map_err(StoreError::at("lock the tables' shape"))
}

/// Made apart and then attached: unlike `CREATE TABLE … PARTITION OF`, that does not stop questions.
fn creation(day: Day) -> String {
    let name = day.partition();
    format!(
        "CREATE TABLE {name} (LIKE requests INCLUDING ALL); \
         ALTER TABLE requests ATTACH PARTITION {name} FOR VALUES FROM ('{}') TO ('{}')",
        day.first_id(),
        day.end_id()
    )
}
