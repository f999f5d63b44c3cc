//! What the management API asks the store. Answers are plain structs with the API's field names.
//!
//! | module | answers |
//! |---|---|
//! | `queries` | lists of requests, newest first, and one request by id |
//! | [`analytics`] | time series, totals and breakdowns, from the roll-ups |
//! | [`span`] | the spans of time those are asked for |
//! | [`stats`] | the numbers of the overview, over everything that is kept |
//! | `spent` | what accounts have spent, for budgets |
//! | [`size`] | how much is stored |
//!
//! Nothing here writes, and nothing here waits longer than the statement time-out of the pool.

pub mod analytics;
mod measures;
pub mod size;
pub mod span;
mod spent;
pub mod stats;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::StoreError;
use super::filter::RequestFilter;
use super::row::RequestRow;
use super::{Store, day::Day};

/// Rows of a page if the question does not say.
pub const DEFAULT_PAGE: u32 = 50;
/// Rows of a page at most: a page of rows with attempts is about 1 KB a row.
pub const MAX_PAGE: u32 = 1000;

/// A place in the list of requests, between two rows. To clients it is an opaque text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Uuid);

/// One page of requests, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestPage {
    /// The rows.
    pub requests: Vec<RequestRow>,
    /// Where the next page begins; `null` when there is none.
    pub next_cursor: Option<String>,
}

impl Cursor {
    /// The text given to clients.
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    /// Reads that text back; `None` if it is not one of ours.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let id = Uuid::from_slice(&bytes).ok()?;
        Day::of_id(id).map(|_| Self(id))
    }
}

impl Store {
    /// Requests that match, newest first, at most `limit` (clamped to 1 ..= [`MAX_PAGE`]), from the
    /// cursor on. Pages neither repeat nor skip a row that was there when the first was read.
    pub async fn requests(
        &self,
        filter: &RequestFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<RequestPage, StoreError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let mut conditions = filter.on_rows();
        if let Some(Cursor(id)) = after {
            conditions.add("id < ?", id);
        }
        let sql = format!(
            "SELECT {} FROM requests {} ORDER BY id DESC LIMIT {}",
            RequestRow::COLUMNS,
            conditions.sql(),
            limit + 1
        );
        let step = "list requests";
        let rows = self.client().await?.query(&sql, &conditions.params()).await;
        let rows = rows.map_err(StoreError::at(step))?;
        let more = rows.len() > limit;
        let requests: Result<Vec<_>, _> = rows.iter().take(limit).map(RequestRow::read).collect();
        let requests = requests.map_err(StoreError::at(step))?;
        let next_cursor = requests.last().filter(|_| more).map(|last| Cursor(last.id).encode());
        Ok(RequestPage { requests, next_cursor })
    }

    /// One request.
    pub async fn request(&self, id: Uuid) -> Result<Option<RequestRow>, StoreError> {
        let step = "read a request";
        let sql = format!("SELECT {} FROM requests WHERE id = $1", RequestRow::COLUMNS);
        let row = self.client().await?.query_opt(&sql, &[&id]).await.map_err(StoreError::at(step))?;
        row.as_ref().map(RequestRow::read).transpose().map_err(StoreError::at(step))
    }

    /// The namespaces of all callers that the history knows.
    pub async fn caller_namespaces(&self) -> Result<Vec<String>, StoreError> {
        let step = "list the callers' namespaces";
        let sql = "SELECT DISTINCT caller_namespace FROM rollup_day WHERE caller_namespace <> ''";
        let rows = self.client().await?.query(sql, &[]).await.map_err(StoreError::at(step))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(StoreError::at(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_nothing_else_is_one() {
        let cursor = Cursor(Uuid::now_v7());
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        for text in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", "../../etc/passwd"] {
            assert_eq!(Cursor::decode(text), None, "{text:?}");
        }
    }
}
