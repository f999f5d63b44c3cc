//! Accounts: shown from the objects, their status and the history; changed by writing the objects.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use penstock_controller_core::access::{Deed, Listing};
use penstock_controller_core::objects::DEFAULT_NAMESPACE;
use penstock_proto::ids::AccountId;

use super::error::{ApiError, ErrorBody};
use super::extract::{Json, Path};
use super::rights::Caller;
use super::session::Done;
use super::view::Served;
pub use super::view::{Account, AccountCredentials, AccountWindow};
use super::{ApiState, Confirm};
use change::{AccountChange, ModelsChange, NewAccount, PriorityChange};

mod change;

/// Reads the `{id}` of a path: `namespace/name`, or a name in `default`.
fn parse_id(raw: &str) -> Result<AccountId, ApiError> {
    let qualified = if raw.contains('/') { raw.to_owned() } else { format!("{DEFAULT_NAMESPACE}/{raw}") };
    qualified.parse().map_err(|error| ApiError::BadRequest(format!("account: {error}")))
}

fn no_such(id: &AccountId) -> ApiError {
    ApiError::NotFound(format!("no account {id}"))
}

/// What the history says of each account. Without Postgres the accounts are shown all the same.
async fn served(state: &ApiState) -> HashMap<String, Served> {
    let Ok(stats) = state.store.stats(None).await else { return HashMap::new() };
    let shares = stats.accounts.into_iter();
    shares
        .map(|share| {
            let served = Served { requests: share.total_requests, success_rate: Some(share.success_rate) };
            (share.name, served)
        })
        .collect()
}

fn shown(state: &ApiState, id: &AccountId, served: &HashMap<String, Served>) -> Option<Account> {
    let view = state.view();
    let object = view.objects.accounts.get(id)?;
    let served = served.get(id.as_str()).copied().unwrap_or_default();
    Some(Account::of(id, object, view.plan.accounts.get(id), served, Timestamp::now()))
}

/// List the accounts.
#[utoipa::path(get, path = "/api/accounts", operation_id = "listAccounts", tag = "accounts", responses(
    (status = 200, body = Vec<Account>), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<Vec<Account>>, ApiError> {
    let ids: Vec<_> = state.view().objects.accounts.keys().cloned().collect();
    let sight = caller.sight(Listing::Accounts, ids.iter().map(AccountId::namespace)).await?;
    let served = served(&state).await;
    let seen = ids.iter().filter(|id| sight.sees(id.namespace()));
    Ok(Json(seen.filter_map(|id| shown(&state, id, &served)).collect()))
}

/// Show one account.
#[utoipa::path(get, path = "/api/accounts/{id}", operation_id = "getAccount", tag = "accounts",
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Account), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody)))]
pub(super) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Account>, ApiError> {
    let id = parse_id(&id)?;
    caller.may(Deed::ShowAccount(&id)).await?;
    let served = served(&state).await;
    shown(&state, &id, &served).map(Json).ok_or_else(|| no_such(&id))
}

/// Add an account.
#[utoipa::path(post, path = "/api/accounts", operation_id = "createAccount", tag = "accounts", request_body = NewAccount, responses(
    (status = 201, body = Done), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(new): Json<NewAccount>,
) -> Result<(StatusCode, Json<Done>), ApiError> {
    let id = new.id()?;
    let secret = new.secret();
    caller.may(Deed::CreateAccount { account: &id, credential: !secret.is_empty() }).await?;
    let object = new.object(&id, !secret.is_empty())?;
    state.cluster.create_account(object, secret).await?;
    Ok((StatusCode::CREATED, Done::because(format!("account {id} added"))))
}

/// Change an account.
#[utoipa::path(patch, path = "/api/accounts/{id}", operation_id = "changeAccount", tag = "accounts", request_body = AccountChange,
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(change): Json<AccountChange>,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(&id)?;
    let secret = change.secret();
    caller.may(Deed::ChangeAccount { account: &id, credential: secret.is_some() }).await?;
    state.cluster.change_account(&id, Box::new(move |spec| change.apply(spec)), secret).await?;
    Ok(Done::because(format!("account {id} changed")))
}

async fn change_spec(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    change: AccountChange,
    what: &str,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(id)?;
    caller.may(Deed::ChangeAccount { account: &id, credential: false }).await?;
    state.cluster.change_account(&id, Box::new(move |spec| change.apply(spec)), None).await?;
    Ok(Done::because(format!("account {id} {what}")))
}

/// Take an account out of use; requests that are running end normally.
#[utoipa::path(post, path = "/api/accounts/{id}/pause", operation_id = "pauseAccount", tag = "accounts",
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn pause(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange { paused: Some(true), ..AccountChange::default() };
    change_spec(&state, &caller, &id, change, "paused").await
}

/// Put a paused account back into use.
#[utoipa::path(post, path = "/api/accounts/{id}/resume", operation_id = "resumeAccount", tag = "accounts",
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn resume(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange { paused: Some(false), ..AccountChange::default() };
    change_spec(&state, &caller, &id, change, "in use again").await
}

/// Change an account's priority.
#[utoipa::path(post, path = "/api/accounts/{id}/priority", operation_id = "setAccountPriority", tag = "accounts", request_body = PriorityChange,
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn set_priority(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(PriorityChange { priority }): Json<PriorityChange>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange { priority: Some(priority), ..AccountChange::default() };
    change_spec(&state, &caller, &id, change, &format!("has priority {priority}")).await
}

/// Change which models an account serves, and under which names.
#[utoipa::path(post, path = "/api/accounts/{id}/models", operation_id = "setAccountModels", tag = "accounts", request_body = ModelsChange,
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn set_models(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(ModelsChange { allow_models, model_map }): Json<ModelsChange>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange {
        allow_models: Some(allow_models),
        model_map: Some(model_map),
        ..AccountChange::default()
    };
    change_spec(&state, &caller, &id, change, "serves these models").await
}

/// Forget the limits that an account is known to have, as if it had never been used.
#[utoipa::path(post, path = "/api/accounts/{id}/force-reset", operation_id = "forgetAccountLimits", tag = "accounts",
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn force_reset(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(&id)?;
    caller.may(Deed::ForgetLimits(&id)).await?;
    if !state.view().objects.accounts.contains_key(&id) {
        return Err(no_such(&id));
    }
    state.forget_limits(id.clone()).await;
    Ok(Done::because(format!("what was known of the limits of account {id} is forgotten")))
}

/// Delete an account and its credential.
#[utoipa::path(delete, path = "/api/accounts/{id}", operation_id = "deleteAccount", tag = "accounts", request_body = Confirm,
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    confirm: Confirm,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(&id)?;
    caller.may(Deed::DeleteAccount(&id)).await?;
    confirm.of(id.name())?;
    state.cluster.delete_account(&id).await?;
    Ok(Done::because(format!("account {id} deleted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_namespace_is_in_default() {
        assert_eq!(parse_id("a").unwrap().as_str(), "default/a");
        assert_eq!(parse_id("llm/a").unwrap().as_str(), "llm/a");
        assert!(parse_id("a b").is_err());
    }
}
