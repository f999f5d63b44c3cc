//! Who calls the API: by the admin token, a token of the cluster, a one-time link, or the dashboard's session cookie.
//!
//! A token never reaches a page: a link's code or the login form is exchanged for an `HttpOnly` cookie. Both are
//! signed with the admin token instead of remembered, so that they hold at every replica and after a restart (a link
//! then works once at each), and another admin token ends them all.
//! A request of another site is refused by its `Origin`, one by another name of this machine by its `Host`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use penstock_controller_core::site::{Foreign, Origins, PublicHosts, judge};
use penstock_proto::secret::Secret;
use rand::RngCore;
use ring::hmac;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::extract::{Json, Query};
use super::rights::{Caller, Rights};

mod seal;

use seal::Seal;

/// A working day; then the link or the token is needed again.
const SESSION_LENGTH: SignedDuration = SignedDuration::from_hours(12);
/// Long enough to copy a link from a terminal to a browser.
const LINK_LENGTH: SignedDuration = SignedDuration::from_mins(10);
/// Followed links remembered at most; the oldest go first. A person has a few browsers.
const MAX_FOLLOWED: usize = 256;
const COOKIE: &str = "penstock_session";
/// What a proxy that ends TLS says of its client.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who may use the API. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    admin_token: Secret,
    /// The people of the cluster, if this runs in one.
    rights: Option<Arc<Rights>>,
    /// What to show, for who shows nothing good.
    help: String,
    public_hosts: PublicHosts,
    signing: hmac::Key,
    seal: Seal,
    /// Links that were followed here, until they end.
    followed: Mutex<BTreeMap<String, Timestamp>>,
}

/// What was issued: the one is no good as the other.
#[derive(Clone, Copy)]
enum Purpose {
    Session,
    Link,
}

/// Where a one-time link leads.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginLink {
    /// Path on this listener; works once, for ten minutes.
    pub path: String,
}

/// A token, to be exchanged for a session cookie.
#[derive(Deserialize, ToSchema)]
pub struct Login {
    /// The admin token; in a cluster also one that its API server accepts.
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
    /// Access by this token alone, which is in the file `admin-token`.
    pub fn by_token(admin_token: Secret, public_hosts: PublicHosts) -> Self {
        let help = "the admin token is missing or wrong; it is in the file admin-token of the data folder, sent as \
                    `Authorization: Bearer …`";
        Self::new(admin_token, public_hosts, None, help.to_owned())
    }

    /// Access by this token, which is in the Secret `named`, and by those of the people of a cluster.
    pub fn in_cluster(admin_token: Secret, named: &str, rights: Rights, public_hosts: PublicHosts) -> Self {
        let help = format!(
            "the token is missing or not accepted: send one that the API server of the cluster accepts (`kubectl create \
             token …`), or the admin token of the Secret {named}, as `Authorization: Bearer …`"
        );
        Self::new(admin_token, public_hosts, Some(Arc::new(rights)), help)
    }

    fn new(
        admin_token: Secret,
        public_hosts: PublicHosts,
        rights: Option<Arc<Rights>>,
        help: String,
    ) -> Self {
        let signing = hmac::Key::new(hmac::HMAC_SHA256, admin_token.expose().as_bytes());
        let seal = Seal::new(&signing);
        let followed = Mutex::default();
        Self(Arc::new(Inner { admin_token, rights, help, public_hosts, signing, seal, followed }))
    }

    fn is_admin_token(&self, presented: &str) -> bool {
        presented.as_bytes().ct_eq(self.0.admin_token.expose().as_bytes()).into()
    }

    /// `<end>.<chance>.<signature>`.
    fn issue(&self, purpose: Purpose, until: Timestamp) -> String {
        let mut random = [0_u8; 16];
        rand::rng().fill_bytes(&mut random);
        let text = format!("{}.{}", until.as_second(), hex::encode(random));
        let signature = hmac::sign(&self.0.signing, purpose.signed(&text).as_bytes());
        format!("{text}.{}", hex::encode(signature))
    }

    /// When what was issued for this purpose ends; `None`: it was not, or it has ended.
    fn holds(&self, purpose: Purpose, issued: &str, now: Timestamp) -> Option<Timestamp> {
        let (text, signature) = issued.rsplit_once('.')?;
        let signature = hex::decode(signature).ok()?;
        hmac::verify(&self.0.signing, purpose.signed(text).as_bytes(), &signature).ok()?;
        let until = Timestamp::from_second(text.split_once('.')?.0.parse().ok()?).ok()?;
        (now < until).then_some(until)
    }

    /// Takes a link's code; not a second time.
    fn redeem(&self, code: &str, now: Timestamp) -> bool {
        let Some(until) = self.holds(Purpose::Link, code, now) else { return false };
        let mut followed = self.0.followed.lock();
        followed.retain(|_, until| *until > now);
        if followed.len() >= MAX_FOLLOWED
            && let Some(oldest) =
                followed.iter().min_by_key(|(_, until)| **until).map(|(code, _)| code.clone())
        {
            followed.remove(&oldest);
        }
        followed.insert(code.to_owned(), until).is_none()
    }

    fn session_cookie(&self, now: Timestamp) -> Cookie<'static> {
        cookie(self.issue(Purpose::Session, now + SESSION_LENGTH))
    }

    /// Who calls with this token.
    async fn bearer(&self, token: &str) -> Result<Caller, ApiError> {
        if self.is_admin_token(token) {
            return Ok(Caller::Admin);
        }
        let Some(rights) = &self.0.rights else { return Err(self.unauthorized()) };
        let person = rights.whose(token).await?.ok_or_else(|| self.unauthorized())?;
        Ok(Caller::Person { person, rights: Arc::clone(rights) })
    }

    async fn caller(&self, headers: &HeaderMap, jar: &CookieJar, now: Timestamp) -> Result<Caller, ApiError> {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        if let Some(token) = bearer {
            return self.bearer(token.trim()).await;
        }
        let session = jar.get(COOKIE).map(Cookie::value).ok_or_else(|| self.unauthorized())?;
        match self.0.seal.open(session, now) {
            Some(token) => self.bearer(token.expose()).await,
            None if self.has_session(session, now) => Ok(Caller::Admin),
            None => Err(self.unauthorized()),
        }
    }

    /// The session of whoever has this token.
    async fn log_in(&self, token: &str, now: Timestamp) -> Result<Cookie<'static>, ApiError> {
        match self.bearer(token).await? {
            Caller::Admin => Ok(self.session_cookie(now)),
            Caller::Person { .. } => {
                let sealed = self.0.seal.close(token, now + SESSION_LENGTH);
                sealed.map(cookie).ok_or_else(|| {
                    let instead = "use one of a ServiceAccount (`kubectl create token …`)";
                    ApiError::BadRequest(format!("the token is too long for a browser's cookie; {instead}"))
                })
            }
        }
    }

    fn unauthorized(&self) -> ApiError {
        ApiError::Unauthorized(self.0.help.clone())
    }

    fn has_session(&self, cookie: &str, now: Timestamp) -> bool {
        self.holds(Purpose::Session, cookie, now).is_some()
    }
}

impl Purpose {
    fn signed(self, text: &str) -> String {
        let purpose = match self {
            Self::Session => "session",
            Self::Link => "link",
        };
        format!("penstock {purpose} {text}")
    }
}

fn cookie(session: String) -> Cookie<'static> {
    Cookie::build((COOKIE, session)).http_only(true).same_site(SameSite::Strict).path("/").build()
}

/// To be kept by the browser that sent these headers.
fn kept(mut session: Cookie<'static>, headers: &HeaderMap) -> Cookie<'static> {
    session.set_secure(is_encrypted(headers));
    session
}

/// Lets only those in who are known, and says who they are. What they may do each endpoint asks for itself.
pub(super) async fn authenticate(
    State(access): State<Access>,
    jar: CookieJar,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = access.caller(request.headers(), &jar, Timestamp::now()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Refuses what a page of another site, or of a name that was pointed at this machine, sent.
pub(super) async fn same_site_only(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    let host = text(headers, &header::HOST).or_else(|| request.uri().authority().map(Authority::as_str));
    let origins = Origins {
        host,
        origin: text(headers, &header::ORIGIN),
        has_cookie: headers.contains_key(header::COOKIE),
    };
    match judge(origins, &access.0.public_hosts) {
        Ok(()) => Ok(next.run(request).await),
        Err(Foreign::Host) => Err(ApiError::Forbidden(
            "open the dashboard by address, as localhost, or by a name of --public-hosts (PENSTOCK_PUBLIC_HOSTS); what \
             stands before it must pass the Host header on"
                .to_owned(),
        )),
        Err(Foreign::Origin) => {
            Err(ApiError::Forbidden("a page of another site may not use this API".to_owned()))
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether the browser speaks TLS, with us or with what stands before us: then its cookie is for TLS only.
fn is_encrypted(headers: &HeaderMap) -> bool {
    let origin = text(headers, &header::ORIGIN).is_some_and(|origin| origin.starts_with("https://"));
    origin || text(headers, &FORWARDED_PROTO) == Some("https")
}

/// Make a link that logs a browser in, once.
#[utoipa::path(post, path = "/api/session/links", operation_id = "createLoginLink", tag = "session", responses(
    (status = 200, body = LoginLink), (status = 401, body = ErrorBody)))]
pub(super) async fn create_link(
    caller: Caller,
    Extension(access): Extension<Access>,
) -> Result<Json<LoginLink>, ApiError> {
    caller.is_admin("make links that log in with it")?;
    let code = access.issue(Purpose::Link, Timestamp::now() + LINK_LENGTH);
    Ok(Json(LoginLink { path: format!("/login?code={code}") }))
}

/// Exchange a token for a session cookie.
#[utoipa::path(post, path = "/api/session", operation_id = "logIn", tag = "session", request_body = Login, security(()), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
pub(super) async fn log_in(
    Extension(access): Extension<Access>,
    jar: CookieJar,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Result<(CookieJar, Json<Done>), ApiError> {
    let session = access.log_in(login.token.trim(), Timestamp::now()).await?;
    Ok((jar.add(kept(session, &headers)), Done::because("logged in")))
}

/// Follows a one-time link. Not part of the API: it is opened in a browser.
pub(super) async fn follow_link(
    Extension(access): Extension<Access>,
    jar: CookieJar,
    headers: HeaderMap,
    Query(query): Query<LoginQuery>,
) -> Response {
    let now = Timestamp::now();
    match query.code {
        Some(code) if access.redeem(&code, now) => {
            (jar.add(kept(access.session_cookie(now), &headers)), Redirect::to("/")).into_response()
        }
        // The page asks for the token.
        _ => (StatusCode::SEE_OTHER, Redirect::to("/")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access_by(token: &str) -> Access {
        Access::by_token(Secret::new(token), PublicHosts::default())
    }

    #[test]
    fn a_link_works_once_and_only_for_ten_minutes() {
        let access = access_by("t");
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let code = access.issue(Purpose::Link, now + LINK_LENGTH);
        assert!(access.redeem(&code, now));
        assert!(!access.redeem(&code, now));
        let late = access.issue(Purpose::Link, now + LINK_LENGTH);
        assert!(!access.redeem(&late, now + LINK_LENGTH));
    }

    #[test]
    fn a_session_ends() {
        let access = access_by("t");
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let cookie = access.session_cookie(now);
        assert!(cookie.http_only() == Some(true) && cookie.same_site() == Some(SameSite::Strict));
        assert!(access.has_session(cookie.value(), now));
        assert!(!access.has_session(cookie.value(), now + SESSION_LENGTH));
        assert!(access_by("t").has_session(cookie.value(), now), "at another replica");
        assert!(!access_by("u").has_session(cookie.value(), now), "with another token");
        let longer = cookie.value().replacen(|c: char| c.is_ascii_digit(), "9", 1);
        assert!(!access.has_session(&longer, now));
        assert!(
            !access.has_session(&access.issue(Purpose::Link, now + LINK_LENGTH), now),
            "a link is no session"
        );
    }
}
