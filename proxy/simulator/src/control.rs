//! The HTTP interface: what was received, and what is to go wrong.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State as Extracted},
    http::StatusCode,
    response::IntoResponse,
    routing::{delete, get, post, put},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    faults::Rule,
    journal::Entry,
    limits::LimitSpec,
    listener::CONTROL,
    state::{Behaviour, BehaviourPatch, State},
};

const MANUAL: &str = include_str!("../README.md");

type Shared = Extracted<Arc<State>>;

/// Which entries of the journal are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    account: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    after: Option<u64>,
}

/// The routes, all under `/_control`.
pub(crate) fn router(state: Arc<State>) -> Router {
    let routes = Router::new()
        .route("/", get(MANUAL))
        .route("/health", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/requests", get(requests).delete(forget_requests))
        .route("/bodies/{n}", get(body))
        .route("/accounts", get(accounts))
        .route("/accounts/{credential}/limits", put(limit_account))
        .route("/accounts/{credential}/reset", post(reset_account))
        .route("/limits", put(limit_others))
        .route("/faults", get(faults).post(add_fault).delete(lift_faults))
        .route("/faults/{id}", delete(lift_fault))
        .route("/behaviour", get(behaviour).patch(change_behaviour))
        .route("/reset", post(reset))
        .with_state(state);
    Router::new().nest(CONTROL, routes).route(&format!("{CONTROL}/"), get(MANUAL))
}

impl Wanted {
    fn includes(&self, entry: &Entry) -> bool {
        self.account.as_ref().is_none_or(|account| *account == entry.account)
            && self.path.as_ref().is_none_or(|path| entry.path.contains(path))
            && self.status.is_none_or(|status| entry.status == Some(status))
            && self.after.is_none_or(|after| entry.n > after)
    }
}

async fn requests(Extracted(state): Shared, Query(wanted): Query<Wanted>) -> Json<Value> {
    let entries = state.journal.entries(|entry| wanted.includes(entry));
    Json(json!({ "requests": entries, "dropped": state.journal.dropped() }))
}

async fn forget_requests(Extracted(state): Shared) -> StatusCode {
    state.journal.clear();
    StatusCode::NO_CONTENT
}

async fn body(Extracted(state): Shared, Path(n): Path<u64>) -> impl IntoResponse {
    state.journal.body(n).ok_or(StatusCode::NOT_FOUND)
}

async fn accounts(Extracted(state): Shared) -> Json<Value> {
    Json(json!({ "accounts": state.accounts.statuses(Timestamp::now()) }))
}

async fn limit_account(
    Extracted(state): Shared,
    Path(credential): Path<String>,
    Json(spec): Json<LimitSpec>,
) -> StatusCode {
    state.accounts.limit(&credential, spec);
    StatusCode::NO_CONTENT
}

async fn reset_account(Extracted(state): Shared, Path(credential): Path<String>) -> StatusCode {
    state.accounts.reset(Some(&credential));
    StatusCode::NO_CONTENT
}

async fn limit_others(Extracted(state): Shared, Json(spec): Json<LimitSpec>) -> StatusCode {
    state.accounts.limit_others(spec);
    StatusCode::NO_CONTENT
}

async fn faults(Extracted(state): Shared) -> Json<Value> {
    let mut faults = state.faults.lock();
    Json(json!({ "faults": faults.active(Timestamp::now()) }))
}

async fn add_fault(
    Extracted(state): Shared,
    body: String,
) -> Result<(StatusCode, Json<Value>), (StatusCode, String)> {
    // Read by hand, so that `curl -d` needs no content type.
    let rule: Rule = serde_json::from_str(&body).map_err(|e| (StatusCode::BAD_REQUEST, format!("{e}\n")))?;
    Ok((StatusCode::CREATED, Json(json!({ "id": state.fault(rule) }))))
}

async fn lift_faults(Extracted(state): Shared) -> StatusCode {
    state.lift_faults();
    StatusCode::NO_CONTENT
}

async fn lift_fault(Extracted(state): Shared, Path(id): Path<u64>) -> StatusCode {
    if state.faults.lock().lift(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn behaviour(Extracted(state): Shared) -> Json<Behaviour> {
    Json(*state.behaviour.lock())
}

async fn change_behaviour(Extracted(state): Shared, Json(patch): Json<BehaviourPatch>) -> Json<Behaviour> {
    let mut behaviour = state.behaviour.lock();
    *behaviour = behaviour.with(patch);
    Json(*behaviour)
}

async fn reset(Extracted(state): Shared) -> StatusCode {
    state.reset();
    StatusCode::NO_CONTENT
}
