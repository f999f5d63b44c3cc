//! The management API and the dashboard, on one listener.
//!
//! | module | endpoints |
//! |---|---|
//! | [`accounts`] | `/api/accounts`: list, create, change, delete, pause, resume |
//! | [`pools`] | `/api/pools` |
//! | [`requests`] | `/api/requests`: pages, one row, live |
//! | [`analytics`] | `/api/analytics`, `/api/stats` |
//! | [`system`] | `/health`, `/api/proxies`, `/api/problems`, `/api/config`, `/api/strategies`, `/api/models` |
//! | [`keys`] | `/api/keys`: client keys |
//! | [`probes`] | `/livez`, `/readyz` |
//! | [`session`] | who calls: admin token, tokens of the cluster, one-time links, session cookies |
//! | [`rights`] | what they may do |
//! | [`assets`] | the dashboard's files |
//! | [`extract`] | what a call brings with it, and what is answered when it cannot be read |
//! | [`error`] | what is answered when something cannot be done |
//!
//! The API is a view of the objects and the history. It holds no state of its own but sessions; what it
//! writes goes to the objects, and comes back the way every change comes.

pub mod accounts;
mod analytics;
mod assets;
mod error;
mod extract;
mod keys;
mod pools;
pub mod probes;
mod requests;
pub mod rights;
pub mod session;
mod system;
mod view;

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router, middleware};
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use error::ApiError;
pub use rights::Rights;
pub use session::Access;
pub use system::{ApiState, Settings};

/// A manifest with its model map is a few kilobytes.
const MAX_BODY: usize = 256 * 1024;

/// Says once more what is to be deleted.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
pub(crate) struct Confirm {
    /// Its name.
    #[serde(default)]
    confirm: String,
}

impl Confirm {
    fn of(&self, name: &str) -> Result<(), ApiError> {
        if self.confirm == name {
            return Ok(());
        }
        Err(ApiError::Unconfirmed(format!(
            "this cannot be undone; to do it, send {{\"confirm\": \"{name}\"}}"
        )))
    }
}

/// Everything the listener serves.
pub fn router(state: ApiState, access: Access) -> Router {
    let (endpoints, document) = endpoints().split_for_parts();
    let document = describe(document);
    let open = Router::new()
        .route("/health", get(system::health))
        .route("/login", get(session::follow_link))
        .route("/api/openapi.json", get(move || async move { openapi_json(&document) }))
        .merge(open_endpoints())
        .fallback(assets::serve);
    let no_such_method = async || ApiError::NoSuchMethod;
    endpoints
        .layer(middleware::from_fn_with_state(access.clone(), session::authenticate))
        .merge(open)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(access.clone(), session::same_site_only))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(access))
        .with_state(state)
}

/// The OpenAPI 3.1 document, as served and as checked in.
pub fn openapi() -> OpenApi {
    let (_, document) = endpoints().split_for_parts();
    describe(document)
}

fn openapi_json(document: &OpenApi) -> axum::response::Response {
    match document.to_pretty_json() {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => ApiError::Internal(format!("the OpenAPI document: {error}")).into_response(),
    }
}

fn open_endpoints() -> Router<ApiState> {
    Router::new().route("/api/session", axum::routing::post(session::log_in))
}

fn endpoints() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::get, accounts::update, accounts::delete))
        .routes(routes!(accounts::pause))
        .routes(routes!(accounts::resume))
        .routes(routes!(accounts::set_priority))
        .routes(routes!(accounts::set_models))
        .routes(routes!(accounts::force_reset))
        .routes(routes!(pools::list))
        .routes(routes!(requests::list_requests))
        .routes(routes!(requests::stream_requests))
        .routes(routes!(requests::get_request))
        .routes(routes!(analytics::analytics))
        .routes(routes!(analytics::stats))
        .routes(routes!(analytics::reset))
        .routes(routes!(system::proxies))
        .routes(routes!(system::problems))
        .routes(routes!(system::config))
        .routes(routes!(system::strategies))
        .routes(routes!(system::models))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(session::create_link))
}

fn describe(mut document: OpenApi) -> OpenApi {
    // Those without a login stand outside the authenticated router.
    #[derive(utoipa::OpenApi)]
    #[openapi(paths(session::log_in, system::health))]
    struct Open;
    document.merge(<Open as utoipa::OpenApi>::openapi());
    BearerToken.modify(&mut document);
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete];
        operations.into_iter().flatten().for_each(say_how_it_fails);
    }
    let info = InfoBuilder::new()
        .title("Penstock management API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A view of the accounts, pools and proxies, and the history of requests. Times are RFC 3339 in UTC, names \
             are camelCase, rates are percent, costs are US dollars.",
        ))
        .build();
    OpenApiBuilder::from(document).info(info).build()
}

/// Every answer with an error has the same shape.
fn say_how_it_fails(operation: &mut Operation) {
    let schema = Ref::from_schema_name("ErrorBody");
    let body = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description("Anything else that keeps the call from being carried out")
        .content("application/json", body)
        .build();
    operation.responses.responses.insert("default".to_owned(), response.into());
}

/// `Authorization: Bearer <token>`, or the dashboard's cookie.
struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        document.security = Some(vec![utoipa::openapi::SecurityRequirement::new("token", [""; 0])]);
    }
}

/// The parts of a list separated by commas.
fn list(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
