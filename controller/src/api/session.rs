//! Who may use the API: the admin token, one-time links, and the dashboard's session cookie.
//!
//! The token never reaches a page: a link's code or the login form is exchanged for an `HttpOnly` cookie.
//! A request of another site is refused by its `Origin`, one by another name of this machine by its `Host`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use penstock_proto::secret::Secret;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::{Json, Query};

/// A working day; then the link or the token is needed again.
const SESSION_LENGTH: SignedDuration = SignedDuration::from_hours(12);
/// Long enough to copy a link from a terminal to a browser.
const LINK_LENGTH: SignedDuration = SignedDuration::from_mins(10);
/// Sessions and links kept at most; the oldest go first. A person has a few browsers.
const MAX_GRANTS: usize = 256;
const COOKIE: &str = "penstock_session";

/// Who may use the API. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    admin_token: Secret,
    issued: Mutex<Issued>,
}

/// What was issued and has not ended, by its random name.
#[derive(Default)]
struct Issued {
    sessions: BTreeMap<String, Timestamp>,
    links: BTreeMap<String, Timestamp>,
}

/// Where a one-time link leads.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginLink {
    /// Path on this listener; works once, for ten minutes.
    pub path: String,
}

/// The admin token, to be exchanged for a session cookie.
#[derive(Deserialize, ToSchema)]
pub struct Login {
    /// Content of the file `admin-token`.
    token: String,
}

/// What `/login` was called with.
#[derive(Deserialize)]
pub struct LoginQuery {
    code: Option<String>,
}

/// A call that did what was asked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// Always true; failures have an error status.
    pub success: bool,
    /// For people.
    pub message: String,
}

impl Done {
    /// Done, and what.
    pub(super) fn because(message: impl Into<String>) -> Json<Self> {
        Json(Self { success: true, message: message.into() })
    }
}

impl Access {
    /// Access by this token.
    pub fn by_token(admin_token: Secret) -> Self {
        Self(Arc::new(Inner { admin_token, issued: Mutex::default() }))
    }

    fn is_admin_token(&self, presented: &str) -> bool {
        presented.as_bytes().ct_eq(self.0.admin_token.expose().as_bytes()).into()
    }

    fn issue(
        &self,
        which: impl Fn(&mut Issued) -> &mut BTreeMap<String, Timestamp>,
        until: Timestamp,
    ) -> String {
        let mut random = [0_u8; 32];
        rand::rng().fill_bytes(&mut random);
        let name = hex::encode(random);
        let mut issued = self.0.issued.lock();
        let grants = which(&mut issued);
        if grants.len() >= MAX_GRANTS
            && let Some(oldest) = grants.iter().min_by_key(|(_, until)| **until).map(|(name, _)| name.clone())
        {
            grants.remove(&oldest);
        }
        grants.insert(name.clone(), until);
        name
    }

    fn has_session(&self, name: &str, now: Timestamp) -> bool {
        let mut issued = self.0.issued.lock();
        issued.sessions.retain(|_, until| *until > now);
        issued.sessions.contains_key(name)
    }

    /// Takes a link's code; the second time it is not there any more.
    fn redeem(&self, code: &str, now: Timestamp) -> bool {
        self.0.issued.lock().links.remove(code).is_some_and(|until| until > now)
    }

    fn session_cookie(&self, now: Timestamp) -> Cookie<'static> {
        let session = self.issue(|issued| &mut issued.sessions, now + SESSION_LENGTH);
        Cookie::build((COOKIE, session)).http_only(true).same_site(SameSite::Strict).path("/").build()
    }

    fn allows(&self, headers: &HeaderMap, jar: &CookieJar, now: Timestamp) -> bool {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match bearer {
            Some(token) => self.is_admin_token(token.trim()),
            None => jar.get(COOKIE).is_some_and(|cookie| self.has_session(cookie.value(), now)),
        }
    }
}

/// Lets only those in who may use the API.
pub(super) async fn authenticate(
    State(access): State<Access>,
    jar: CookieJar,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if access.allows(request.headers(), &jar, Timestamp::now()) {
        Ok(next.run(request).await)
    } else {
        Err(ApiError::Unauthorized)
    }
}

/// Refuses what a page of another site, or of a name that was pointed at this machine, sent.
pub(super) async fn same_site_only(request: Request, next: Next) -> Result<Response, ApiError> {
    judge_origin(request.headers())?;
    Ok(next.run(request).await)
}

fn judge_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let Some(host) = text(header::HOST) else { return Ok(()) };
    // A page can make a browser call any address under a name of its own (DNS rebinding), but then the
    // browser says that name in both headers; only addresses and localhost cannot be re-pointed.
    let carries_cookie = headers.contains_key(header::COOKIE);
    if carries_cookie && !is_address_or_localhost(host) {
        return Err(ApiError::Forbidden("open the dashboard by address or as localhost"));
    }
    match text(header::ORIGIN).and_then(|origin| origin.split_once("://")) {
        Some((_, origin)) if origin != host => {
            Err(ApiError::Forbidden("a page of another site may not use this API"))
        }
        _ => Ok(()),
    }
}

fn is_address_or_localhost(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok()
}

/// Make a link that logs a browser in, once.
#[utoipa::path(post, path = "/api/session/links", operation_id = "createLoginLink", tag = "session", responses(
    (status = 200, body = LoginLink), (status = 401, body = ErrorBody)))]
pub(super) async fn create_link(Extension(access): Extension<Access>) -> Json<LoginLink> {
    let code = access.issue(|issued| &mut issued.links, Timestamp::now() + LINK_LENGTH);
    Json(LoginLink { path: format!("/login?code={code}") })
}

/// Exchange the admin token for a session cookie.
#[utoipa::path(post, path = "/api/session", operation_id = "logIn", tag = "session", request_body = Login, security(()), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
pub(super) async fn log_in(
    Extension(access): Extension<Access>,
    jar: CookieJar,
    Json(login): Json<Login>,
) -> Result<(CookieJar, Json<Done>), ApiError> {
    if !access.is_admin_token(login.token.trim()) {
        return Err(ApiError::Unauthorized);
    }
    Ok((jar.add(access.session_cookie(Timestamp::now())), Done::because("logged in")))
}

/// Follows a one-time link. Not part of the API: it is opened in a browser.
pub(super) async fn follow_link(
    Extension(access): Extension<Access>,
    jar: CookieJar,
    Query(query): Query<LoginQuery>,
) -> Response {
    let now = Timestamp::now();
    match query.code {
        Some(code) if access.redeem(&code, now) => {
            (jar.add(access.session_cookie(now)), Redirect::to("/")).into_response()
        }
        // The page asks for the token.
        _ => (StatusCode::SEE_OTHER, Redirect::to("/")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_link_works_once_and_only_for_ten_minutes() {
        let access = Access::by_token(Secret::new("t"));
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let code = access.issue(|issued| &mut issued.links, now + LINK_LENGTH);
        assert!(access.redeem(&code, now));
        assert!(!access.redeem(&code, now));
        let late = access.issue(|issued| &mut issued.links, now + LINK_LENGTH);
        assert!(!access.redeem(&late, now + LINK_LENGTH));
    }

    #[test]
    fn a_session_ends() {
        let access = Access::by_token(Secret::new("t"));
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let cookie = access.session_cookie(now);
        assert!(cookie.http_only() == Some(true) && cookie.same_site() == Some(SameSite::Strict));
        assert!(access.has_session(cookie.value(), now));
        assert!(!access.has_session(cookie.value(), now + SESSION_LENGTH));
    }

    #[test]
    fn another_site_and_a_re_pointed_name_are_refused() {
        use header::{COOKIE, HOST, ORIGIN};
        let at = "127.0.0.1:8090";
        assert!(
            judge_origin(&headers(&[(HOST, at), (ORIGIN, "http://127.0.0.1:8090"), (COOKIE, "a=b")])).is_ok()
        );
        assert!(
            judge_origin(&headers(&[(HOST, at), (ORIGIN, "http://evil.example"), (COOKIE, "a=b")])).is_err()
        );
        assert!(judge_origin(&headers(&[(HOST, "evil.example:8090"), (COOKIE, "a=b")])).is_err());
        assert!(judge_origin(&headers(&[(HOST, "penstock.llm.svc:8090")])).is_ok(), "a program with a token");
        assert!(judge_origin(&headers(&[(HOST, "[::1]:8090"), (COOKIE, "a=b")])).is_ok());
        assert!(judge_origin(&headers(&[(HOST, "localhost"), (COOKIE, "a=b")])).is_ok());
    }
}
