//! The history: one row per accepted request, kept in Postgres, and the sums that analytics are read from.
//!
//! | module | what it owns |
//! |---|---|
//! | [`embedded`] | a private Postgres, run by us from the installed programs |
//! | [`postgres`] | connections: pools, TLS, time-outs |
//! | `migrations` | the tables, brought to this version |
//! | [`day`] | ids and days: what a request's id says about time |
//! | [`partitions`] | one partition per day: made ahead and on demand, dropped by retention |
//! | [`write`](mod@write) | batches of events, stored exactly once |
//! | [`rollup`] | sums by the minute and the hour, kept with the rows they sum up |
//! | [`announce`] | what one controller stored, told to the others |
//! | [`controllers`] | who shares the database, and which proxies are connected to them |
//! | [`row`], [`filter`], [`queries`] | what the management API asks |
//! | [`error`] | what can go wrong |
//!
//! An id that is stored is stored once, whatever is replayed and however many controllers write; a row
//! and its share of the sums are stored together or not at all. Nothing here decides when to write or
//! what to remove: that is `ingest` and the caller of [`Store::remove_before`].

pub mod announce;
pub mod controllers;
pub mod day;
pub mod embedded;
pub mod error;
pub mod filter;
mod migrations;
pub mod partitions;
pub mod postgres;
pub mod queries;
pub mod rollup;
pub mod row;
pub mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use deadpool_postgres::{Client, Pool};
use parking_lot::Mutex;

use self::day::Day;
use self::error::StoreError;
use self::postgres::Target;

/// A handle on the history. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: Pool,
    writers: Pool,
    target: Arc<Target>,
    /// Days known to have a partition; a hint that saves asking.
    partitions: Arc<Mutex<BTreeSet<Day>>>,
}

impl Store {
    /// Sets up the pools. Connects to nothing yet: a database that is away is met by the first use.
    pub fn new(target: impl Into<Target>) -> Result<Self, StoreError> {
        let target = target.into();
        Ok(Self {
            readers: postgres::pool(&target, postgres::READERS)?,
            writers: postgres::pool(&target, postgres::WRITERS)?,
            target: Arc::new(target),
            partitions: Arc::default(),
        })
    }

    /// Brings the tables to this version. Controllers that start together take turns.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrations::run(self.writer().await?).await
    }

    /// Whether the database answers and takes writes.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let step = "answer";
        let row = self.writer().await?.query_one("SELECT pg_is_in_recovery()", &[]).await;
        let is_standby: bool = row.and_then(|row| row.try_get(0)).map_err(StoreError::at(step))?;
        if is_standby { Err(StoreError::Standby) } else { Ok(()) }
    }

    /// A connection for questions.
    async fn client(&self) -> Result<Client, StoreError> {
        connection(&self.readers).await
    }

    /// A connection for writing; apart, so that no number of questions keeps history from being stored.
    async fn writer(&self) -> Result<Client, StoreError> {
        connection(&self.writers).await
    }
}

async fn connection(pool: &Pool) -> Result<Client, StoreError> {
    pool.get().await.map_err(StoreError::unconnected)
}
