//! Numbers over the history: totals, shares and time series.

use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::extract::{Json, Query};
use super::requests::{accounts, status};
use super::rights::Caller;
use super::session::Done;
use super::{ApiState, list};
use crate::store::filter::RequestFilter;
use crate::store::queries::analytics::Analytics;
use crate::store::queries::span::{Range, Span};
use crate::store::queries::stats::Stats;

/// Which time, and what of it. Lists are separated by commas.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnalyticsQuery {
    /// `1h`, `6h`, `24h`, `7d` or `30d`, ending now. Default `24h`. Not together with `from`.
    range: Option<String>,
    /// Beginning, RFC 3339.
    from: Option<Timestamp>,
    /// End, RFC 3339; default now.
    to: Option<Timestamp>,
    /// Width of a point in seconds; default by the length of the time.
    bucket_seconds: Option<i64>,
    /// Accounts, `namespace/name`; without a namespace `default` is meant.
    accounts: Option<String>,
    /// Models.
    models: Option<String>,
    /// `all`, `success`, `error`, a code or a class.
    status: Option<String>,
}

impl AnalyticsQuery {
    fn span(&self, now: Timestamp) -> Result<Span, ApiError> {
        match (&self.range, self.from) {
            (Some(_), Some(_)) => Err(ApiError::BadRequest("give range or from, not both".to_owned())),
            (None, Some(from)) => Span::between(from, self.to.unwrap_or(now), self.bucket_seconds, now)
                .ok_or_else(|| {
                    ApiError::BadRequest("from must lie before to, and the points be wider".to_owned())
                }),
            (range, None) => {
                let range = range.as_deref().unwrap_or("24h");
                let range = Range::parse(range).ok_or_else(|| {
                    ApiError::BadRequest(format!("range {range:?}: use 1h, 6h, 24h, 7d or 30d"))
                })?;
                Ok(range.ending_at(now))
            }
        }
    }

    fn filter(&self, callers_in: Option<Vec<String>>) -> Result<RequestFilter, ApiError> {
        let status_filter = match self.status.as_deref() {
            None | Some("all") => None,
            Some(text) => Some(status(text)?),
        };
        Ok(RequestFilter {
            callers_in,
            accounts: accounts(self.accounts.as_deref()),
            models: list(self.models.as_deref()),
            status: status_filter,
            ..RequestFilter::default()
        })
    }
}

/// Totals, a time series, and shares by model, account, status and caller.
#[utoipa::path(get, path = "/api/analytics", operation_id = "getAnalytics", tag = "analytics", params(AnalyticsQuery), responses(
    (status = 200, body = Analytics), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn analytics(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<AnalyticsQuery>,
) -> Result<Json<Analytics>, ApiError> {
    let span = query.span(Timestamp::now())?;
    let filter = query.filter(caller.callers_in(&state.store).await?)?;
    Ok(Json(state.store.analytics(span, &filter).await?))
}

/// Totals of the whole history.
#[utoipa::path(get, path = "/api/stats", operation_id = "getStats", tag = "analytics", responses(
    (status = 200, body = Stats), (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn stats(State(state): State<ApiState>, caller: Caller) -> Result<Json<Stats>, ApiError> {
    let callers_in = caller.callers_in(&state.store).await?;
    Ok(Json(state.store.stats(callers_in).await?))
}

/// Delete the whole history.
///
/// What accounts have spent of their budgets is forgotten with it.
#[utoipa::path(post, path = "/api/stats/reset", operation_id = "resetHistory", tag = "analytics", request_body = super::Confirm, responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn reset(
    State(state): State<ApiState>,
    caller: Caller,
    confirm: super::Confirm,
) -> Result<Json<Done>, ApiError> {
    caller.is_admin("delete the history")?;
    confirm.of("history")?;
    state.store.reset().await?;
    Ok(Done::because("the history is empty"))
}
