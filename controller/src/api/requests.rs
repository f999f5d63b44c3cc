//! The history of requests: pages, one row, and live.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use penstock_controller_core::access::Listing;
use penstock_proto::event::Ending;
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use super::extract::{Json, Path, Query};
use super::rights::Caller;
use super::{ApiState, list};
use crate::ingest::Live;
use crate::store::filter::{RequestFilter, StatusFilter};
use crate::store::queries::{Cursor, DEFAULT_PAGE, MAX_PAGE, RequestPage};
use crate::store::row::RequestRow;

/// Narrows the history. Lists are separated by commas.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestQuery {
    /// Rows of a page, 1–1000.
    #[param(default = 50, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// Received at this instant or later, RFC 3339.
    from: Option<Timestamp>,
    /// Received before this instant, RFC 3339.
    to: Option<Timestamp>,
    /// Accounts, `namespace/name`; without a namespace `default` is meant.
    account: Option<String>,
    /// Providers.
    provider: Option<String>,
    /// Models as asked, sent or answered.
    model: Option<String>,
    /// `success`, `error`, a code (`429`) or a class (`5xx`).
    status: Option<String>,
    /// `complete`, `truncated`, `error` or `client_left`.
    ending: Option<String>,
    /// The caller's namespace.
    namespace: Option<String>,
    /// The caller's `ServiceAccount`.
    service_account: Option<String>,
    /// Name of the caller's client key.
    key: Option<String>,
    /// Hash of the affinity key.
    session: Option<String>,
    /// An id, the beginning of one (8 hex digits or more), or part of the path.
    q: Option<String>,
}

impl RequestQuery {
    fn filter(&self, callers_in: Option<Vec<String>>) -> Result<RequestFilter, ApiError> {
        Ok(RequestFilter {
            callers_in,
            from: self.from,
            to: self.to,
            accounts: accounts(self.account.as_deref()),
            providers: list(self.provider.as_deref()),
            models: list(self.model.as_deref()),
            status: self.status.as_deref().map(status).transpose()?,
            ending: self.ending.as_deref().map(ending).transpose()?,
            namespace: self.namespace.clone(),
            service_account: self.service_account.clone(),
            key: self.key.clone(),
            session: self.session.clone(),
            search: self.q.clone(),
        })
    }
}

/// Accounts of a list; those without a namespace are in `default`.
pub(super) fn accounts(names: Option<&str>) -> Vec<String> {
    let qualify = |name: String| if name.contains('/') { name } else { format!("default/{name}") };
    list(names).into_iter().map(qualify).collect()
}

/// Reads a status filter.
pub(super) fn status(text: &str) -> Result<StatusFilter, ApiError> {
    StatusFilter::parse(text).ok_or_else(|| {
        ApiError::BadRequest(format!(
            "status {text:?}: use success, error, a code like 429 or a class like 5xx"
        ))
    })
}

fn ending(text: &str) -> Result<Ending, ApiError> {
    [Ending::Complete, Ending::Truncated, Ending::Error, Ending::ClientLeft]
        .into_iter()
        .find(|ending| ending.as_label() == text)
        .ok_or_else(|| {
            ApiError::BadRequest(format!("ending {text:?}: use complete, truncated, error or client_left"))
        })
}

/// List requests, newest first.
#[utoipa::path(get, path = "/api/requests", operation_id = "listRequests", tag = "requests", params(RequestQuery), responses(
    (status = 200, body = RequestPage), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn list_requests(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<RequestQuery>,
) -> Result<Json<RequestPage>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::BadRequest(format!("limit {limit}: 1 to {MAX_PAGE}")));
    }
    let cursor =
        match &query.cursor {
            Some(text) => Some(Cursor::decode(text).ok_or_else(|| {
                ApiError::BadRequest("cursor: not a nextCursor of an earlier page".to_owned())
            })?),
            None => None,
        };
    let filter = query.filter(caller.callers_in(&state.store).await?)?;
    Ok(Json(state.store.requests(&filter, cursor, limit).await?))
}

/// Show one request.
#[utoipa::path(get, path = "/api/requests/{id}", operation_id = "getRequest", tag = "requests",
    params(("id" = Uuid, Path, description = "As answered in `x-penstock-request-id`")), responses(
    (status = 200, body = RequestRow), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn get_request(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<RequestRow>, ApiError> {
    let row = state.store.request(id).await?;
    let namespace = row.as_ref().map_or("", |row| row.caller.namespace.as_str());
    // What they may not see is not there for them.
    let sees = caller.sees(Listing::Accounts, namespace).await?;
    let row = row.filter(|_| sees);
    row.map(Json).ok_or_else(|| ApiError::NotFound(format!("no request with id {id} in the history")))
}

/// One message of the live stream.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum LiveMessage {
    /// A request ended and is stored.
    Summary {
        /// Its row.
        payload: Box<RequestRow>,
    },
    /// There was too much at once, and this many rows were left out; they are in the history.
    Missed {
        /// How many.
        count: u64,
    },
}

/// Follow requests as they end (server-sent events).
///
/// Begins with `event: connected`; then each `data:` line is a message. Shows what all controllers on the
/// same database store.
#[utoipa::path(get, path = "/api/requests/stream", operation_id = "followRequests", tag = "requests", responses(
    (status = 200, body = LiveMessage, content_type = "text/event-stream"), (status = 401, body = ErrorBody)))]
pub(super) async fn stream_requests(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    caller.callers_in(&state.store).await?;
    let connected = stream::iter([Ok(SseEvent::default().event("connected").data("ok"))]);
    let end = caller.clone();
    let rows = BroadcastStream::new(state.ingest.live()).filter_map(move |row| {
        let caller = caller.clone();
        async move { told(row, &caller).await.and_then(|row| SseEvent::default().json_data(row).ok()).map(Ok) }
    });
    let rows = rows.take_until(async move { end.until_they_must_prove_anew().await });
    Ok(Sse::new(connected.chain(rows)).keep_alive(KeepAlive::default()))
}

/// What they are told of a row; `None`: they may not see it.
async fn told(row: Result<Live, BroadcastStreamRecvError>, caller: &Caller) -> Option<LiveMessage> {
    match row {
        Ok(Live::Stored(row)) => {
            // Nobody to ask means nothing to show; the history has it.
            let sees = caller.sees(Listing::Accounts, &row.caller.namespace).await.unwrap_or(false);
            sees.then(|| LiveMessage::Summary { payload: Box::new(RequestRow::clone(&row)) })
        }
        Ok(Live::Missed(count)) | Err(BroadcastStreamRecvError::Lagged(count)) => {
            Some(LiveMessage::Missed { count })
        }
    }
}
