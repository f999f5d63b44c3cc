//! The dashboard's files, built into the binary.

use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::ApiError;

/// What `npm run build` wrote. A build without it serves a page that says how to build it.
#[derive(RustEmbed)]
#[folder = "../dashboard/dist"]
#[allow_missing = true]
struct Dashboard;

const NOT_BUILT: &str = "<!doctype html><title>Penstock</title><p>This binary was built without the dashboard. \
    Run <code>make build</code>. The management API is at <a href=\"/api/openapi.json\">/api/openapi.json</a>.";

/// Scripts and styles only from here: an injected one would not run. Inline styles are the bars' widths.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Serves a file; every other path is a page of the dashboard, which finds its way by itself.
pub(super) async fn serve(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        let message = "no such endpoint; those there are stand in /api/openapi.json";
        return ApiError::NotFound(message.to_owned()).into_response();
    }
    match Dashboard::get(path) {
        // Vite puts a hash of the content into these names, so they never change.
        Some(file) if path.starts_with("assets/") => answer(file, "public, max-age=31536000, immutable"),
        Some(file) if !path.is_empty() => answer(file, "no-cache"),
        _ => match Dashboard::get("index.html") {
            Some(page) => answer(page, "no-cache"),
            None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response(),
        },
    }
}

fn answer(file: EmbeddedFile, cache: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, file.metadata.mimetype().to_owned()),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, file.data).into_response()
}
