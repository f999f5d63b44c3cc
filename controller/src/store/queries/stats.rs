//! The numbers of the overview, with ccflare's field names, over everything the roll-ups keep.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::measures::{self, Measures};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::filter::RequestFilter;

/// Models named at most.
const TOP_MODELS: usize = 10;
/// Errors named at most.
const RECENT_ERRORS: i64 = 10;

/// Everything that is kept, in a few numbers. Rates are percent, times are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Accepted requests, however they ended.
    pub total_requests: u64,
    /// Of those whose client stayed, the share that was answered completely and without an error.
    pub success_rate: f64,
    /// Accounts that served at least one request.
    pub active_accounts: u64,
    /// From the request's head to the end of the answer.
    pub avg_response_time: f64,
    /// Tokens of all classes.
    pub total_tokens: u64,
    /// Cost in US dollars of the requests that have a price.
    pub total_cost_usd: f64,
    /// The models asked for most.
    pub top_models: Vec<ModelShare>,
    /// Generated tokens for each second of generating.
    pub avg_tokens_per_second: f64,
    /// Every account that served, the busiest first.
    pub accounts: Vec<AccountShare>,
    /// What went wrong lately, the latest first.
    pub recent_errors: Vec<String>,
}

/// How much a model was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelShare {
    /// The model.
    pub model: String,
    /// Requests.
    pub count: u64,
    /// Percent of all requests that name a model.
    pub percentage: f64,
}

/// How much an account served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountShare {
    /// `namespace/name`.
    pub name: String,
    /// Requests; the same as `total_requests`, under ccflare's older name.
    pub request_count: u64,
    /// Of those whose client stayed, the share that was answered completely and without an error.
    pub success_rate: f64,
    /// Requests.
    pub total_requests: u64,
}

impl Store {
    /// The numbers of the overview, of callers in these namespaces; `None` = of all.
    pub async fn stats(&self, callers_in: Option<Vec<String>>) -> Result<Stats, StoreError> {
        let step = "compute statistics";
        let client = self.client().await?;
        let filter = RequestFilter { callers_in, ..RequestFilter::default() };
        let conditions = filter.on_rollup();
        let sql = format!(
            "SELECT grouping(model, account), model, account, {} FROM rollup_day {} \
             GROUP BY GROUPING SETS ((), (model), (account))",
            measures::columns(),
            conditions.sql(),
        );
        let lines = client.query(&sql, &conditions.params()).await.map_err(StoreError::at(step))?;
        let mut totals = Measures::default();
        let mut models: Vec<(String, Measures)> = Vec::new();
        let mut accounts: Vec<(String, Measures)> = Vec::new();
        for line in &lines {
            let measures = Measures::read(line, 3).map_err(StoreError::at(step))?;
            match line.try_get::<_, i32>(0).map_err(StoreError::at(step))? {
                0b01 => models.push((line.try_get(1).map_err(StoreError::at(step))?, measures)),
                0b10 => accounts.push((line.try_get(2).map_err(StoreError::at(step))?, measures)),
                _ => totals = measures,
            }
        }
        let recent_errors = self.recent_errors(&client, &filter).await.map_err(StoreError::at(step))?;
        let accounts = account_shares(accounts);
        Ok(Stats {
            total_requests: totals.requests,
            success_rate: totals.success_rate,
            active_accounts: accounts.len() as u64,
            avg_response_time: totals.avg_response_time,
            total_tokens: totals.tokens,
            total_cost_usd: totals.cost_usd,
            top_models: model_shares(models),
            avg_tokens_per_second: totals.avg_tokens_per_second,
            accounts,
            recent_errors,
        })
    }

    async fn recent_errors(
        &self,
        client: &deadpool_postgres::Client,
        filter: &RequestFilter,
    ) -> Result<Vec<String>, tokio_postgres::Error> {
        let mut conditions = filter.on_rows();
        conditions.add_plain("failed");
        let sql = format!(
            "SELECT CASE WHEN error <> '' THEN error \
                ELSE concat(method, ' ', path, ': ', status, ', ', ending) END \
             FROM requests {} ORDER BY id DESC LIMIT {RECENT_ERRORS}",
            conditions.sql()
        );
        let rows = client.query(&sql, &conditions.params()).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}

fn model_shares(models: Vec<(String, Measures)>) -> Vec<ModelShare> {
    let mut models: Vec<_> =
        models.into_iter().filter(|(model, _)| !model.is_empty()).map(|(m, n)| (m, n.requests)).collect();
    let all: u64 = models.iter().map(|(_, count)| count).sum();
    models.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    models.truncate(TOP_MODELS);
    let share = |(model, count)| ModelShare { model, count, percentage: percent(count, all) };
    models.into_iter().map(share).collect()
}

fn account_shares(accounts: Vec<(String, Measures)>) -> Vec<AccountShare> {
    let share = |(name, measures): (String, Measures)| AccountShare {
        name,
        request_count: measures.requests,
        success_rate: measures.success_rate,
        total_requests: measures.requests,
    };
    let served = accounts.into_iter().filter(|(name, _)| !name.is_empty());
    let mut shares: Vec<_> = served.map(share).collect();
    shares.sort_by(|a, b| b.request_count.cmp(&a.request_count).then_with(|| a.name.cmp(&b.name)));
    shares
}

#[expect(clippy::cast_precision_loss, reason = "a percentage of counts far below 2^53")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
