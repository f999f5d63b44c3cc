//! How much is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::Store;
use crate::store::day::Day;
use crate::store::error::StoreError;

/// How much is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageSize {
    /// Requests in the history.
    pub rows: u64,
    /// Bytes of the history on disk, with its indexes.
    pub history_bytes: u64,
    /// Bytes of the sums for analytics on disk, with their indexes.
    pub rollup_bytes: u64,
    /// Bytes of the whole database on disk.
    pub database_bytes: u64,
    /// Days that have a partition.
    pub partitions: u64,
    /// Where the oldest of those days begins.
    pub oldest_day: Option<Timestamp>,
}

impl Store {
    /// How much is stored.
    pub async fn size(&self) -> Result<StorageSize, StoreError> {
        let step = "measure the history";
        let client = self.client().await?;
        let days = super::super::partitions::existing(&client).await?;
        let oldest_day = days.first().copied().map(Day::start);
        // The sums of whole days are exact, and there are few of them; counting the rows reads them all.
        let sql = "SELECT \
                (SELECT coalesce(sum(requests), 0)::bigint FROM rollup_day WHERE bucket >= $1), \
                (SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint \
                    FROM pg_partition_tree('requests')), \
                pg_total_relation_size('rollup_minute') + pg_total_relation_size('rollup_hour') \
                    + pg_total_relation_size('rollup_day'), \
                pg_database_size(current_database())";
        let since = oldest_day.unwrap_or(Timestamp::UNIX_EPOCH);
        let row = client.query_one(sql, &[&since]).await.map_err(StoreError::at(step))?;
        let number = |column: usize| -> Result<u64, StoreError> {
            let value: i64 = row.try_get(column).map_err(StoreError::at(step))?;
            Ok(u64::try_from(value).unwrap_or_default())
        };
        Ok(StorageSize {
            rows: if oldest_day.is_some() { number(0)? } else { 0 },
            history_bytes: number(1)?,
            rollup_bytes: number(2)?,
            database_bytes: number(3)?,
            partitions: days.len() as u64,
            oldest_day,
        })
    }
}
