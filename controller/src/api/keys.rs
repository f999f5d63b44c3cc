//! Client keys: how callers that are not on this machine prove who they are.
//!
//! Only a key's SHA-256 is kept; the key itself is in the answer that made it, and nowhere else.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use penstock_controller_core::access::{Deed, Listing};
use penstock_controller_core::objects::DEFAULT_NAMESPACE;
use penstock_crds::{CLIENT_KEY_HASH, CLIENT_KEY_LABEL};
use penstock_proto::ids::ObjectId;
use penstock_proto::secret::Secret;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::{Json, Path};
use super::rights::Caller;
use super::session::Done;
use super::{ApiState, Confirm};

/// One client key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Key {
    /// Shown in the history.
    name: String,
    /// Whose accounts it may use.
    namespace: String,
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// 1–63 lower-case letters, digits and `-`.
    name: String,
    /// Whose accounts it may use; default `default`.
    namespace: Option<String>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedKey {
    /// Shown in the history.
    name: String,
    /// The key; it cannot be shown again.
    key: String,
}

fn parse_id(namespace: Option<&str>, name: &str) -> Result<ObjectId, ApiError> {
    ObjectId::new(namespace.unwrap_or(DEFAULT_NAMESPACE), name)
        .map_err(|error| ApiError::BadRequest(format!("name: {error}")))
}

/// List the client keys.
#[utoipa::path(get, path = "/api/keys", operation_id = "listKeys", tag = "keys", responses(
    (status = 200, body = Vec<Key>), (status = 401, body = ErrorBody)))]
pub(super) async fn list(State(state): State<ApiState>, caller: Caller) -> Result<Json<Vec<Key>>, ApiError> {
    let view = state.view();
    let secrets = view.objects.secrets.iter();
    let keys =
        secrets.filter(|(_, secret)| secret.labels.get(CLIENT_KEY_LABEL).is_some_and(|set| set == "true"));
    let keys = keys.map(|(id, _)| id);
    let sight = caller.sight(Listing::Keys, keys.clone().map(ObjectId::namespace)).await?;
    let shown = |id: &ObjectId| Key { name: id.name().to_owned(), namespace: id.namespace().to_owned() };
    Ok(Json(keys.filter(|id| sight.sees(id.namespace())).map(shown).collect()))
}

/// Make a client key.
#[utoipa::path(post, path = "/api/keys", operation_id = "createKey", tag = "keys", request_body = NewKey, responses(
    (status = 201, body = CreatedKey), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(new): Json<NewKey>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let id = parse_id(new.namespace.as_deref(), &new.name)?;
    caller.may(Deed::CreateKey(&id)).await?;
    let mut random = [0_u8; 32];
    rand::rng().fill_bytes(&mut random);
    let key = format!("pk-{}", hex::encode(random));
    let hash = hex::encode(Sha256::digest(key.as_bytes()));
    let labels = BTreeMap::from([(CLIENT_KEY_LABEL.to_owned(), "true".to_owned())]);
    let data = BTreeMap::from([(CLIENT_KEY_HASH.to_owned(), Secret::new(hash))]);
    state.cluster.create_secret(&id, labels, data).await?;
    Ok((StatusCode::CREATED, Json(CreatedKey { name: new.name, key })))
}

/// Revoke a client key; requests with it are refused from then on.
#[utoipa::path(delete, path = "/api/keys/{name}", operation_id = "revokeKey", tag = "keys", request_body = Confirm,
    params(("name" = String, Path, description = "`name`, or `namespace/name` with the slash as `%2F`")), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    confirm: Confirm,
) -> Result<Json<Done>, ApiError> {
    let (namespace, name) = name.split_once('/').map_or((None, name.as_str()), |(ns, name)| (Some(ns), name));
    let id = parse_id(namespace, name)?;
    caller.may(Deed::RevokeKey(&id)).await?;
    confirm.of(id.name())?;
    let is_key =
        state.view().objects.secrets.get(&id).is_some_and(|s| s.labels.contains_key(CLIENT_KEY_LABEL));
    if !is_key {
        return Err(ApiError::NotFound(format!("no client key {id}")));
    }
    state.cluster.delete_secret(&id).await?;
    Ok(Done::because(format!("key {id} revoked")))
}
