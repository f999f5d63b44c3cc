//! Stores batches of events: each id once, with its share of the sums, in one transaction.
//!
//! Never changes or removes a row that is there; a replayed event has no effect at all.

pub(super) mod encode;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use deadpool_postgres::Transaction;
use penstock_proto::event::Event;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::Store;
use super::day::Day;
use super::error::StoreError;
use super::partitions;
use super::rollup::Table;

/// An event and what it cost, in nano-dollars; `None` = its model has no price.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced {
    /// What happened.
    pub event: Event,
    /// What it cost.
    pub cost_nano_usd: Option<i64>,
}

/// What became of a batch. Everything in it is done with: none of it need be sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The ids that are new in the history.
    pub inserted: HashSet<Uuid>,
    /// Events whose id was stored already, or came twice in the batch.
    pub duplicates: u64,
    /// Events of days whose rows were removed by retention.
    pub expired: u64,
    /// Events whose id is no `UUIDv7`: nothing says when they were, and no proxy of ours makes them.
    pub refused: u64,
}

type Batch<'a> = BTreeMap<Uuid, &'a Priced>;

impl Store {
    /// Stores a batch. Either all of it is stored when this returns, or, on an error, none.
    pub async fn write(&self, events: &[Priced]) -> Result<Written, StoreError> {
        let mut written = Written::default();
        let batch = sort(events, &mut written);
        if batch.is_empty() {
            return Ok(written);
        }
        match self.write_sorted(&batch, written.clone()).await {
            // Another controller removed the days in the meantime, or the database is not the one it was.
            Err(error) if is_missing_partition(&error) => {
                self.forget_partitions();
                self.write_sorted(&batch, written).await
            }
            result => result,
        }
    }

    async fn write_sorted(&self, batch: &Batch<'_>, written: Written) -> Result<Written, StoreError> {
        let days: BTreeSet<Day> = batch.keys().filter_map(|id| Day::of_id(*id)).collect();
        self.ensure(&days).await?;
        match self.write_in(Way::Straight, batch, written.clone()).await {
            Err(error) if is_duplicate(&error) => self.write_in(Way::Merged, batch, written).await,
            result => result,
        }
    }

    async fn write_in(
        &self,
        way: Way,
        batch: &Batch<'_>,
        mut written: Written,
    ) -> Result<Written, StoreError> {
        let step = "store a batch";
        let mut client = self.writer().await?;
        let tx = client.transaction().await.map_err(StoreError::at(step))?;
        partitions::lock(&tx, "pg_advisory_xact_lock_shared").await?;
        let first_kept = partitions::removed_before(&tx).await?.first_id();
        let kept = || batch.range(first_kept..).map(|(_, priced)| *priced);
        written.inserted = match way {
            Way::Straight => {
                copy(&tx, "requests", kept()).await?;
                kept().map(|priced| priced.event.id).collect()
            }
            Way::Merged => {
                create_staging(&tx, "staged_requests", "requests").await?;
                copy(&tx, "staged_requests", kept()).await?;
                merge(&tx).await?
            }
        };
        let new = || {
            let new = kept().filter(|priced| written.inserted.contains(&priced.event.id));
            new.map(|priced| (&priced.event, priced.cost_nano_usd))
        };
        for table in Table::ALL {
            let lines = table.lines(new());
            if !lines.is_empty() {
                create_staging(&tx, table.staging(), table.name()).await?;
                table.add(&tx, &lines).await?;
            }
        }
        tx.commit().await.map_err(StoreError::at(step))?;
        let expired = batch.range(..first_kept).count();
        written.expired = expired as u64;
        written.duplicates += (batch.len() - expired - written.inserted.len()) as u64;
        Ok(written)
    }
}

/// How rows get into the table.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Right into it: page by page, at less than half of the work. Fails if any of them is there already,
    /// which only happens after an acknowledgement was lost.
    Straight,
    /// Through a temporary table, row by row, without those that are there already.
    Merged,
}

/// By id, so that every writer takes the same rows in the same order and none waits in a circle.
fn sort<'a>(events: &'a [Priced], written: &mut Written) -> Batch<'a> {
    let mut batch = Batch::new();
    for priced in events {
        if Day::of_id(priced.event.id).is_none() {
            written.refused += 1;
        } else if batch.insert(priced.event.id, priced).is_some() {
            written.duplicates += 1;
        }
    }
    batch
}

/// A temporary table of this connection, which is not logged and empty again after the transaction.
async fn create_staging(tx: &Transaction<'_>, staging: &str, like: &str) -> Result<(), StoreError> {
    let create = format!("CREATE TEMP TABLE IF NOT EXISTS {staging} (LIKE {like}) ON COMMIT DELETE ROWS");
    tx.batch_execute(&create).await.map_err(StoreError::at("make room for a batch"))
}

async fn copy(
    tx: &Transaction<'_>,
    table: &str,
    batch: impl Iterator<Item = &Priced>,
) -> Result<(), StoreError> {
    let step = "send a batch";
    let copy = format!("COPY {table} ({}) FROM STDIN BINARY", encode::columns());
    let sink = tx.copy_in(&copy).await.map_err(StoreError::at(step))?;
    let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &encode::types()));
    for priced in batch {
        let row = encode::Encoded::of(priced);
        writer.as_mut().write(&row.values()).await.map_err(StoreError::at(step))?;
    }
    writer.finish().await.map_err(StoreError::at(step))?;
    Ok(())
}

/// Takes over what is not there yet, and says what that was.
async fn merge(tx: &Transaction<'_>) -> Result<HashSet<Uuid>, StoreError> {
    let step = "insert a batch";
    let columns = encode::columns();
    let sql = format!(
        "INSERT INTO requests ({columns}) SELECT {columns} FROM staged_requests \
         ON CONFLICT DO NOTHING RETURNING id"
    );
    let rows = tx.query(&sql, &[]).await.map_err(StoreError::at(step))?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(StoreError::at(step))
}

fn is_duplicate(error: &StoreError) -> bool {
    matches!(error, StoreError::Query { source, .. } if source.code() == Some(&SqlState::UNIQUE_VIOLATION))
}

fn is_missing_partition(error: &StoreError) -> bool {
    // Postgres reports "no partition of relation found for row" as a violated check; the table has no other.
    matches!(error, StoreError::Query { source, .. } if source.code() == Some(&SqlState::CHECK_VIOLATION))
}
