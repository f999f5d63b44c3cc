//! What a call brings with it: body, query and path. What cannot be read is answered like every other
//! mistake, and says what to send instead.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{ApiError, Confirm, MAX_BODY};

/// A JSON body, of a call or of an answer.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(super) struct Json<T>(pub(super) T);

/// What stands behind the `?` of the address.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);

/// What stands in the path.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Without a body nothing is confirmed, and the answer says how to.
impl<S: Send + Sync> FromRequest<S> for Confirm {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await?;
        if body.is_empty() {
            return Ok(Self::default());
        }
        let axum::Json(confirm) = axum::Json::from_bytes(&body)?;
        Ok(confirm)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match &rejection {
            JsonRejection::MissingJsonContentType(_) => {
                Self::BadRequest("send the body as JSON, with `content-type: application/json`".to_owned())
            }
            JsonRejection::JsonSyntaxError(error) => {
                Self::BadRequest(format!("the body is not JSON: {}", innermost(error)))
            }
            JsonRejection::JsonDataError(error) => {
                Self::BadRequest(format!("the body is not what this endpoint takes: {}", innermost(error)))
            }
            _ => unread(rejection.status(), &rejection),
        }
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        unread(rejection.status(), &rejection)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::BadRequest(format!("the query is not what this endpoint takes: {}", innermost(&rejection)))
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::BadRequest(format!("the path is not one of this endpoint: {}", innermost(&rejection)))
    }
}

fn unread(status: StatusCode, rejection: &dyn std::error::Error) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::TooLarge(MAX_BODY);
    }
    ApiError::BadRequest(format!("the body could not be read: {}", innermost(rejection)))
}

/// What the reader itself says, without the words that axum puts before it.
fn innermost(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().unwrap_or(error).to_string()
}
