//! What the API answers when it cannot do what was asked.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Json;
use crate::cluster::WriteError;
use crate::store::error::StoreError;

/// An error answer. The message says what is wrong and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    /// For people.
    pub(super) error: String,
    /// Set where the same call with `{"confirm": "<name>"}` would be carried out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) confirmation_required: bool,
}

/// Why a call was not carried out.
#[derive(Debug)]
pub enum ApiError {
    /// The call itself is wrong.
    BadRequest(String),
    /// It would delete something and does not say its name.
    Unconfirmed(String),
    /// No or a wrong token, or the session has ended.
    Unauthorized(String),
    /// Whoever calls may not do it, or a page of another site tried it.
    Forbidden(String),
    /// What it names does not exist.
    NotFound(String),
    /// What it would create exists, or cannot be changed this way.
    Conflict(String),
    /// Its body is larger than this many bytes.
    TooLarge(usize),
    /// There is such an endpoint, but it does not do that.
    NoSuchMethod,
    /// The API server of the cluster is away; proxies serve on.
    ClusterAway(String),
    /// Postgres is away; the proxies serve on.
    StoreAway,
    /// Ours.
    Internal(String),
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::Unconfirmed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::ClusterAway(_) | Self::StoreAway => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::BadRequest(message)
            | Self::Unconfirmed(message)
            | Self::Unauthorized(message)
            | Self::Forbidden(message)
            | Self::NotFound(message)
            | Self::Conflict(message)
            | Self::ClusterAway(message)
            | Self::Internal(message) => message.clone(),
            Self::TooLarge(most) => format!("the body is larger than {} KiB", most / 1024),
            Self::NoSuchMethod => {
                "this endpoint has no such method; those it has are in the answer's `allow` header and in \
                 /api/openapi.json"
                    .to_owned()
            }
            Self::StoreAway => {
                "the history is not available just now (Postgres does not answer); requests are \
                                served, and their history is kept until it is back"
                    .to_owned()
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        // The cause is for the log: it may name hosts and files.
        tracing::warn!(error = %DisplayChain(&error), "the store could not answer the management API");
        Self::StoreAway
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let message = error.to_string();
        match error {
            WriteError::NotFound { .. } => Self::NotFound(message),
            WriteError::Exists { .. } | WriteError::ReadOnly { .. } | WriteError::Conflict { .. } => {
                Self::Conflict(message)
            }
            WriteError::Invalid { .. } => Self::BadRequest(message),
            WriteError::Forbidden { .. } => Self::Internal(message),
            WriteError::Unavailable { .. } => Self::ClusterAway(DisplayChain(&error).to_string()),
            WriteError::Io { .. } => Self::Internal(DisplayChain(&error).to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body =
            ErrorBody { error: self.message(), confirmation_required: matches!(self, Self::Unconfirmed(_)) };
        (self.status(), Json(body)).into_response()
    }
}

/// An error with its causes, one line.
struct DisplayChain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for DisplayChain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
