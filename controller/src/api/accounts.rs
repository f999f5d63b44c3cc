//! Accounts: shown from the objects, their status and the history; changed by writing the objects.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::http::StatusCode;
use penstock_controller_core::world::DEFAULT_NAMESPACE;
use penstock_crds::{Provider, ProviderAccount, ProviderAccountSpec};
use penstock_proto::ids::{AccountId, ObjectId};
use penstock_proto::secret::Secret;
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::{Json, Path};
use super::session::Done;
use super::view::Served;
pub use super::view::{Account, AccountCredentials, AccountWindow};
use super::{ApiState, Confirm};

/// A new account. Its credential goes into a Secret of the same name.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAccount {
    /// 1–63 lower-case letters, digits and `-`.
    name: String,
    /// Default `default`.
    namespace: Option<String>,
    /// E.g. `anthropic`, `openai`, `claude-code`, `codex`, `openai-compatible`, `zai`.
    provider: String,
    /// Needed for `*-compatible`.
    base_url: Option<String>,
    /// 0–100, lower first; default 0.
    #[serde(default)]
    priority: u8,
    /// The API key.
    api_key: Option<String>,
    /// An OAuth access token, instead of a key.
    access_token: Option<String>,
    /// Its refresh token.
    refresh_token: Option<String>,
    /// When the access token ends: RFC 3339, or Unix milliseconds.
    expires_at: Option<String>,
    /// `ChatGPT` account id, for `codex`.
    account_id: Option<String>,
    /// Globs of the models it serves; empty = all.
    #[serde(default)]
    allow_models: Vec<String>,
    /// What to ask it for instead, by glob of the model asked for.
    #[serde(default)]
    model_map: BTreeMap<String, Vec<String>>,
}

/// What to change of an account; what is left out stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct AccountChange {
    /// Where the provider is.
    base_url: Option<String>,
    /// 0–100, lower first.
    priority: Option<u8>,
    /// Set aside.
    paused: Option<bool>,
    /// Takes traffic back as soon as a limit resets.
    auto_fallback: Option<bool>,
    /// Starts a new usage window when one ends.
    auto_refresh: Option<bool>,
    /// Globs of the models it serves; empty = all.
    allow_models: Option<Vec<String>>,
    /// What to ask it for instead.
    model_map: Option<BTreeMap<String, Vec<String>>>,
    /// A new API key.
    api_key: Option<String>,
}

/// A new priority.
#[derive(Deserialize, ToSchema)]
pub(super) struct PriorityChange {
    /// 0–100, lower first.
    priority: u8,
}

/// New rules for models.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ModelsChange {
    /// Globs of the models it serves; empty = all.
    #[serde(default)]
    allow_models: Vec<String>,
    /// What to ask it for instead, by glob of the model asked for.
    #[serde(default)]
    model_map: BTreeMap<String, Vec<String>>,
}

impl NewAccount {
    fn id(&self) -> Result<AccountId, ApiError> {
        let namespace = self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        ObjectId::new(namespace, &self.name).map_err(|error| ApiError::BadRequest(format!("name: {error}")))
    }

    fn secret(&self) -> BTreeMap<String, Secret> {
        let values = [
            ("apiKey", &self.api_key),
            ("accessToken", &self.access_token),
            ("refreshToken", &self.refresh_token),
            ("expiresAt", &self.expires_at),
            ("accountId", &self.account_id),
        ];
        let given = values.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?.trim())));
        given
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), Secret::new(value)))
            .collect()
    }

    fn object(&self, id: &AccountId, has_secret: bool) -> Result<ProviderAccount, ApiError> {
        let provider = Provider::named(&self.provider).ok_or_else(|| {
            let known: Vec<_> = Provider::ALL.into_iter().map(Provider::name).collect();
            ApiError::BadRequest(format!("provider {:?} is not one of {}", self.provider, known.join(", ")))
        })?;
        let mut spec = ProviderAccountSpec::new(provider, has_secret.then_some(self.name.as_str()));
        spec.base_url.clone_from(&self.base_url);
        spec.priority = self.priority;
        spec.models.allow.clone_from(&self.allow_models);
        spec.models.map.clone_from(&self.model_map);
        let mut object = ProviderAccount::new(id.name(), spec);
        object.metadata.namespace = Some(id.namespace().to_owned());
        Ok(object)
    }
}

impl AccountChange {
    fn apply(&self, spec: &mut ProviderAccountSpec) {
        let set = |to: &mut bool, value: Option<bool>| *to = value.unwrap_or(*to);
        set(&mut spec.paused, self.paused);
        set(&mut spec.auto_fallback, self.auto_fallback);
        set(&mut spec.auto_refresh, self.auto_refresh);
        spec.priority = self.priority.unwrap_or(spec.priority);
        if let Some(base_url) = &self.base_url {
            spec.base_url = Some(base_url.clone()).filter(|url| !url.is_empty());
        }
        if let Some(allow) = &self.allow_models {
            spec.models.allow.clone_from(allow);
        }
        if let Some(map) = &self.model_map {
            spec.models.map.clone_from(map);
        }
    }
}

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
    let Ok(stats) = state.store.stats().await else { return HashMap::new() };
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
    Some(Account::of(id, object, view.plan.accounts.get(id), served))
}

/// List the accounts.
#[utoipa::path(get, path = "/api/accounts", operation_id = "listAccounts", tag = "accounts", responses(
    (status = 200, body = Vec<Account>), (status = 401, body = ErrorBody)))]
pub(super) async fn list(State(state): State<ApiState>) -> Json<Vec<Account>> {
    let served = served(&state).await;
    let ids: Vec<_> = state.view().objects.accounts.keys().cloned().collect();
    Json(ids.iter().filter_map(|id| shown(&state, id, &served)).collect())
}

/// Show one account.
#[utoipa::path(get, path = "/api/accounts/{id}", operation_id = "getAccount", tag = "accounts",
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Account), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody)))]
pub(super) async fn get(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Account>, ApiError> {
    let id = parse_id(&id)?;
    let served = served(&state).await;
    shown(&state, &id, &served).map(Json).ok_or_else(|| no_such(&id))
}

/// Add an account.
#[utoipa::path(post, path = "/api/accounts", operation_id = "createAccount", tag = "accounts", request_body = NewAccount, responses(
    (status = 201, body = Done), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn create(
    State(state): State<ApiState>,
    Json(new): Json<NewAccount>,
) -> Result<(StatusCode, Json<Done>), ApiError> {
    let id = new.id()?;
    let secret = new.secret();
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
    Path(id): Path<String>,
    Json(change): Json<AccountChange>,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(&id)?;
    let key = change.api_key.as_deref().map(str::trim).filter(|key| !key.is_empty());
    let secret = key.map(|key| BTreeMap::from([("apiKey".to_owned(), Secret::new(key))]));
    state.cluster.change_account(&id, Box::new(move |spec| change.apply(spec)), secret).await?;
    Ok(Done::because(format!("account {id} changed")))
}

async fn change_spec(
    state: &ApiState,
    id: &str,
    change: AccountChange,
    what: &str,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(id)?;
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
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange { paused: Some(true), ..AccountChange::default() };
    change_spec(&state, &id, change, "paused").await
}

/// Put a paused account back into use.
#[utoipa::path(post, path = "/api/accounts/{id}/resume", operation_id = "resumeAccount", tag = "accounts",
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn resume(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange { paused: Some(false), ..AccountChange::default() };
    change_spec(&state, &id, change, "in use again").await
}

/// Change an account's priority.
#[utoipa::path(post, path = "/api/accounts/{id}/priority", operation_id = "setAccountPriority", tag = "accounts", request_body = PriorityChange,
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn set_priority(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(PriorityChange { priority }): Json<PriorityChange>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange { priority: Some(priority), ..AccountChange::default() };
    change_spec(&state, &id, change, &format!("has priority {priority}")).await
}

/// Change which models an account serves, and under which names.
#[utoipa::path(post, path = "/api/accounts/{id}/models", operation_id = "setAccountModels", tag = "accounts", request_body = ModelsChange,
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn set_models(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Json(ModelsChange { allow_models, model_map }): Json<ModelsChange>,
) -> Result<Json<Done>, ApiError> {
    let change = AccountChange {
        allow_models: Some(allow_models),
        model_map: Some(model_map),
        ..AccountChange::default()
    };
    change_spec(&state, &id, change, "serves these models").await
}

/// Forget the limits that an account is known to have, as if it had never been used.
#[utoipa::path(post, path = "/api/accounts/{id}/force-reset", operation_id = "forgetAccountLimits", tag = "accounts",
    params(("id" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn force_reset(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(&id)?;
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
    Path(id): Path<String>,
    confirm: Confirm,
) -> Result<Json<Done>, ApiError> {
    let id = parse_id(&id)?;
    confirm.of(id.name())?;
    state.cluster.delete_account(&id).await?;
    Ok(Done::because(format!("account {id} deleted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(json: serde_json::Value) -> NewAccount {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_name_without_a_namespace_is_in_default() {
        assert_eq!(parse_id("a").unwrap().as_str(), "default/a");
        assert_eq!(parse_id("llm/a").unwrap().as_str(), "llm/a");
        assert!(parse_id("a b").is_err());
    }

    #[test]
    fn a_new_account_refers_to_a_secret_of_its_name_only_if_it_has_a_credential() {
        let with = new(serde_json::json!({"name": "a", "provider": "anthropic", "apiKey": " sk-1\n"}));
        let id = with.id().unwrap();
        assert_eq!(with.secret()["apiKey"].expose(), "sk-1");
        let object = with.object(&id, true).unwrap();
        assert_eq!(object.spec.credentials.unwrap().secret_ref.name, "a");

        let without = new(serde_json::json!({"name": "b", "provider": "ollama"}));
        assert!(without.secret().is_empty());
        assert!(without.object(&id, false).unwrap().spec.credentials.is_none());
    }

    #[test]
    fn an_unknown_provider_is_answered_with_those_there_are() {
        let strange = new(serde_json::json!({"name": "a", "provider": "antropic"}));
        let Err(ApiError::BadRequest(message)) = strange.object(&strange.id().unwrap(), false) else {
            panic!("accepted");
        };
        assert!(message.contains("antropic") && message.contains("claude-code"), "{message}");
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let mut spec = ProviderAccountSpec::new(Provider::Anthropic, None);
        spec.priority = 7;
        AccountChange { paused: Some(true), ..AccountChange::default() }.apply(&mut spec);
        assert!(spec.paused && spec.priority == 7 && spec.auto_fallback);
    }
}
