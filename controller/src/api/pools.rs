//! Pools, as the proxies use them.

use axum::extract::State;
use penstock_controller_core::access::Listing;
use penstock_proto::ids::PoolId;
use penstock_proto::resource::Resource;
use penstock_proto::snapshot::Pool;
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::error::{ApiError, ErrorBody};
use super::extract::Json;
use super::rights::Caller;

/// One pool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolView {
    /// `namespace/name`.
    id: String,
    /// Whether it is written down, or is there because the namespace has accounts.
    implicit: bool,
    /// How accounts are ordered for a request.
    strategy: String,
    /// Its accounts, in order.
    accounts: Vec<String>,
    /// Attempts per request.
    attempts: u32,
    /// How long an idle conversation keeps its account, seconds.
    affinity_ttl_seconds: u64,
    /// How long a request may wait for the earliest reset, seconds.
    hold_seconds: u64,
    /// Fallback chains.
    fallbacks: Vec<FallbackView>,
}

/// One fallback chain.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct FallbackView {
    /// Globs of the models asked for.
    models: Vec<String>,
    /// Tried in order.
    targets: Vec<TargetView>,
}

/// One step of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct TargetView {
    /// One account; `null` = the pool itself.
    account: Option<String>,
    /// Another model; `null` = the one asked for.
    model: Option<String>,
}

impl PoolView {
    fn of(pool: &Pool, implicit: bool) -> Self {
        let text = |id: &PoolId| id.as_str().to_owned();
        Self {
            id: text(&pool.id),
            implicit,
            strategy: pool.strategy.as_label().to_owned(),
            accounts: pool.accounts.iter().map(text).collect(),
            attempts: pool.attempts,
            affinity_ttl_seconds: pool.affinity_ttl.as_secs(),
            hold_seconds: pool.hold.as_secs(),
            fallbacks: pool
                .fallbacks
                .iter()
                .map(|chain| FallbackView {
                    models: chain.models.clone(),
                    targets: chain
                        .targets
                        .iter()
                        .map(|target| TargetView {
                            account: target.account.as_ref().map(text),
                            model: target.model.clone(),
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}

/// List the pools, also the implicit ones.
#[utoipa::path(get, path = "/api/pools", operation_id = "listPools", tag = "pools", responses(
    (status = 200, body = Vec<PoolView>), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<Vec<PoolView>>, ApiError> {
    let view = state.view();
    let pools = view.plan.resources.values().filter_map(|versioned| match &versioned.resource {
        Resource::Pool(pool) => Some(pool),
        _ => None,
    });
    let sight = caller.sight(Listing::Pools, pools.clone().map(|pool| pool.id.namespace())).await?;
    let seen = pools.filter(|pool| sight.sees(pool.id.namespace()));
    Ok(Json(seen.map(|pool| PoolView::of(pool, !view.objects.pools.contains_key(&pool.id))).collect()))
}
