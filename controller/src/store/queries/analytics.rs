//! Time series, totals and breakdowns, answered from the roll-ups: quick whatever the number of rows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::ToSchema;

use super::measures::{self, Measures};
use super::span::Span;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::filter::{Conditions, RequestFilter};

/// Entries of a breakdown at most, those with the most requests first.
const MAX_SLICES: usize = 100;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// Where the first point begins.
    pub from: Timestamp,
    /// Where the last point ends.
    pub to: Timestamp,
    /// Width of a point, seconds.
    pub bucket_seconds: i64,
    /// Over the whole span.
    pub totals: Totals,
    /// One point for each bucket, also where nothing happened.
    pub time_series: Vec<Point>,
    /// By model: as answered, else as sent, else as asked.
    pub by_model: Vec<Slice>,
    /// By account, `namespace/name`; an empty name = no account served.
    pub by_account: Vec<Slice>,
    /// By the status answered; `0` = the client left before.
    pub by_status: Vec<Slice>,
    /// By who asked.
    pub by_caller: Vec<CallerSlice>,
}

/// The whole span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Accounts that served at least one request.
    pub active_accounts: u64,
    /// The numbers.
    #[serde(flatten)]
    pub measures: Measures,
}

/// One point of the time series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Point {
    /// Where it begins, milliseconds since 1970.
    pub ts: i64,
    /// The numbers.
    #[serde(flatten)]
    pub measures: Measures,
}

/// One entry of a breakdown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slice {
    /// What the entry is about.
    pub name: String,
    /// The numbers.
    #[serde(flatten)]
    pub measures: Measures,
}

/// One caller. Empty parts are not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallerSlice {
    /// Kubernetes namespace.
    pub namespace: String,
    /// `ServiceAccount` name.
    pub service_account: String,
    /// Name of the client key.
    pub key: String,
    /// The numbers.
    #[serde(flatten)]
    pub measures: Measures,
}

impl Store {
    /// Numbers over a span of time. Of the filter, what the roll-ups do not know (session, search) and
    /// its times are not looked at.
    pub async fn analytics(&self, span: Span, filter: &RequestFilter) -> Result<Analytics, StoreError> {
        let step = "compute analytics";
        let (sql, conditions) = grouped(span, filter);
        let client = self.client().await?;
        let rows = client.query(&sql, &conditions.params()).await.map_err(StoreError::at(step))?;
        let mut groups = Groups::default();
        for row in &rows {
            groups.take(row).map_err(StoreError::at(step))?;
        }
        Ok(groups.into_analytics(span))
    }
}

/// One scan of the roll-up, grouped six ways.
fn grouped(span: Span, filter: &RequestFilter) -> (String, Conditions) {
    let mut conditions = filter.on_rollup();
    conditions.add("bucket >= ?", span.from());
    conditions.add("bucket < ?", span.to());
    let sql = format!(
        "WITH lines AS (SELECT *, extract(epoch FROM bucket)::bigint / {width} * {width} AS point \
            FROM {table} {conditions}) \
         SELECT grouping(point, model, account, status, caller_key), \
            point, model, account, status, caller_namespace, caller_service_account, caller_key, {columns} \
         FROM lines GROUP BY GROUPING SETS ((), (point), (model), (account), (status), \
            (caller_namespace, caller_service_account, caller_key))",
        width = span.width(),
        table = span.table().name(),
        conditions = conditions.sql(),
        columns = measures::columns(),
    );
    (sql, conditions)
}

/// Where the measures begin in a line of [`grouped`].
const MEASURES: usize = 8;

/// The lines of [`grouped`], sorted out.
#[derive(Default)]
struct Groups {
    totals: Measures,
    points: BTreeMap<i64, Measures>,
    models: Vec<Slice>,
    accounts: Vec<Slice>,
    statuses: Vec<Slice>,
    callers: Vec<CallerSlice>,
}

impl Groups {
    fn take(&mut self, row: &Row) -> Result<(), tokio_postgres::Error> {
        let measures = Measures::read(row, MEASURES)?;
        // A bit is 0 for the columns that the line is grouped by; the first column is the highest bit.
        match row.try_get::<_, i32>(0)? {
            0b01111 => {
                self.points.insert(row.try_get::<_, i64>(1)?.saturating_mul(1000), measures);
            }
            0b10111 => self.models.push(Slice { name: row.try_get(2)?, measures }),
            0b11011 => self.accounts.push(Slice { name: row.try_get(3)?, measures }),
            0b11101 => {
                let name = row.try_get::<_, i16>(4)?.to_string();
                self.statuses.push(Slice { name, measures });
            }
            0b11110 => self.callers.push(CallerSlice {
                namespace: row.try_get(5)?,
                service_account: row.try_get(6)?,
                key: row.try_get(7)?,
                measures,
            }),
            _ => self.totals = measures,
        }
        Ok(())
    }

    fn into_analytics(mut self, span: Span) -> Analytics {
        let active_accounts = self.accounts.iter().filter(|slice| !slice.name.is_empty()).count() as u64;
        let points = span.points();
        let time_series =
            points.map(|ts| Point { ts, measures: self.points.remove(&ts).unwrap_or_default() }).collect();
        Analytics {
            from: span.from(),
            to: span.to(),
            bucket_seconds: span.width(),
            totals: Totals { active_accounts, measures: self.totals },
            time_series,
            by_model: most_requested(self.models, |slice| &slice.measures),
            by_account: most_requested(self.accounts, |slice| &slice.measures),
            by_status: most_requested(self.statuses, |slice| &slice.measures),
            by_caller: most_requested(self.callers, |slice| &slice.measures),
        }
    }
}

fn most_requested<T>(mut slices: Vec<T>, measures: impl Fn(&T) -> &Measures) -> Vec<T> {
    slices.sort_by_key(|slice| std::cmp::Reverse(measures(slice).requests));
    slices.truncate(MAX_SLICES);
    slices
}
