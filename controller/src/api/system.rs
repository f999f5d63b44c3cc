//! What the controller itself is and knows: health, proxies, settings, strategies, models.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use penstock_controller_core::Plan;
use penstock_controller_core::access::Listing;
use penstock_controller_core::objects::Objects;
use penstock_crds::account::status::State as AccountState;
use penstock_proto::ids::AccountId;
use penstock_proto::resource::Resource;
use penstock_proto::snapshot::Strategy;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::Json;
use super::rights::Caller;
use crate::cluster::{Cluster, Problem};
use crate::fleet::{Fleet, Proxy};
use crate::ingest::Ingest;
use crate::proxies::Registry;
use crate::reconcile::Reconciler;
use crate::store::Store;

/// What the endpoints need. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// The history.
    pub store: Store,
    /// Rows as they are stored.
    pub ingest: Ingest,
    /// The decisions about them.
    pub reconciler: Reconciler,
    /// Where changes are written.
    pub cluster: Cluster,
    /// Who is connected.
    pub proxies: Registry,
    /// And to whom.
    pub fleet: Arc<Fleet>,
    /// Shown as they are.
    pub settings: Arc<Settings>,
}

/// The settings in force, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Of this program.
    pub version: String,
    /// Address of this API.
    pub api_listen: String,
    /// Where proxies connect.
    pub grpc_listen: String,
    /// Where the objects come from: a folder, or `kubernetes`.
    pub objects: String,
    /// `embedded`, or `external` for a database of yours.
    pub database: String,
    /// For how many days each request is kept.
    pub history_days: u32,
}

/// The objects and the decisions about them, at one time.
pub(super) struct Look {
    pub(super) objects: Arc<Objects>,
    pub(super) plan: Arc<Plan>,
}

impl ApiState {
    pub(super) fn view(&self) -> Look {
        Look {
            objects: Arc::clone(&self.cluster.objects().borrow()),
            plan: Arc::clone(&self.reconciler.plan().borrow()),
        }
    }

    pub(super) async fn forget_limits(&self, account: AccountId) {
        self.reconciler.forget_limits(account).await;
    }
}

/// How the controller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    /// `ok`, or `degraded` while the history cannot be stored.
    status: String,
    /// Accounts there are.
    accounts: usize,
    /// Those that can serve now.
    available_accounts: usize,
    /// Proxies that are connected to this controller.
    proxies: usize,
    /// Whether Postgres answers. The proxies keep the history while it does not.
    storing: bool,
    /// Events waiting to be stored.
    ingest_depth: usize,
    /// Now.
    timestamp: Timestamp,
    /// Of this program.
    version: String,
}

/// How the controller is. Needs no login, and names nothing.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "system", security(()), responses((status = 200, body = Health)))]
pub(super) async fn health(State(state): State<ApiState>) -> (StatusCode, Json<Health>) {
    let plan = Arc::clone(&state.reconciler.plan().borrow());
    let is_available = |status: &penstock_crds::account::ProviderAccountStatus| {
        status.state == Some(AccountState::Available)
    };
    let storing = state.ingest.is_storing();
    let health = Health {
        status: if storing { "ok" } else { "degraded" }.to_owned(),
        accounts: plan.accounts.len(),
        available_accounts: plan.accounts.values().filter(|status| is_available(status)).count(),
        proxies: state.proxies.count(),
        storing,
        ingest_depth: state.ingest.depth(),
        timestamp: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    (StatusCode::OK, Json(health))
}

/// List the proxies that are connected.
///
/// To any of the controllers that share a database; what is connected to others is known after two seconds,
/// and only while Postgres answers.
#[utoipa::path(get, path = "/api/proxies", operation_id = "listProxies", tag = "system", responses(
    (status = 200, body = Vec<Proxy>), (status = 401, body = ErrorBody)))]
pub(super) async fn proxies(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<Vec<Proxy>>, ApiError> {
    let mut proxies = state.fleet.proxies(&state.store).await;
    let namespaces = proxies.iter().map(|proxy| proxy.namespace.as_str());
    let sight = caller.sight(Listing::Accounts, namespaces).await?;
    proxies.retain(|proxy| sight.sees(&proxy.namespace));
    Ok(Json(proxies))
}

/// Show the settings in force, without secrets.
#[utoipa::path(get, path = "/api/config", operation_id = "getConfig", tag = "system", responses(
    (status = 200, body = Settings), (status = 401, body = ErrorBody)))]
pub(super) async fn config(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<Settings>, ApiError> {
    // Of no tenant; but who sees nothing here has no business with it.
    let objects = state.view().objects;
    caller.sight(Listing::Accounts, objects.accounts.keys().map(AccountId::namespace)).await?;
    Ok(Json(Settings::clone(&state.settings)))
}

/// List the strategies a pool may have.
#[utoipa::path(get, path = "/api/strategies", operation_id = "listStrategies", tag = "system", responses(
    (status = 200, body = Vec<String>), (status = 401, body = ErrorBody)))]
pub(super) async fn strategies() -> Json<Vec<String>> {
    let all = [Strategy::SessionAffinity, Strategy::Session, Strategy::DrainSoonest, Strategy::LeastUtilized];
    Json(all.map(|strategy| strategy.as_label().to_owned()).to_vec())
}

/// Something in the manifests that is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ManifestProblem {
    /// The file, by its name in the folder.
    file: String,
    /// Counted from 1; `null` = it is about the whole file.
    line: Option<u64>,
    /// What is wrong and what to do.
    message: String,
}

/// List what is not in force of the manifests, and why.
#[utoipa::path(get, path = "/api/problems", operation_id = "listProblems", tag = "system", responses(
    (status = 200, body = Vec<ManifestProblem>), (status = 401, body = ErrorBody)))]
pub(super) async fn problems(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<Vec<ManifestProblem>>, ApiError> {
    // They name what is in any namespace.
    caller.may_see_everything().await?;
    let problems = Arc::clone(&state.cluster.problems().borrow());
    let shown = problems.iter().map(|Problem { file, line, message }| ManifestProblem {
        file: file.clone(),
        line: *line,
        message: message.clone(),
    });
    Ok(Json(shown.collect()))
}

/// Which models the accounts name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelRules {
    /// `namespace/name` of the account.
    account: String,
    /// Its provider.
    provider: String,
    /// Globs of the models it serves; empty = all.
    allow: Vec<String>,
    /// What is asked of it instead, by glob of the model asked for.
    map: BTreeMap<String, Vec<String>>,
}

/// Show which models each account serves, and under which names.
#[utoipa::path(get, path = "/api/models", operation_id = "listModels", tag = "system", responses(
    (status = 200, body = Vec<ModelRules>), (status = 401, body = ErrorBody)))]
pub(super) async fn models(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<Vec<ModelRules>>, ApiError> {
    let plan = state.view().plan;
    let accounts = plan.resources.values().filter_map(|versioned| match &versioned.resource {
        Resource::Account(account) => Some(account),
        _ => None,
    });
    let sight = caller.sight(Listing::Accounts, accounts.clone().map(|one| one.id.namespace())).await?;
    let seen = accounts.filter(|account| sight.sees(account.id.namespace()));
    let rules = seen.map(|account| ModelRules {
        account: account.id.as_str().to_owned(),
        provider: account.provider.clone(),
        allow: account.allow_models.clone(),
        map: account.model_map.iter().map(|entry| (entry.glob.clone(), entry.models.clone())).collect(),
    });
    Ok(Json(rules.collect()))
}
