//! People of a cluster: what they see and change is what the API server says they may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use http::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use k8s_openapi::api::authorization::v1::{SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use penstock_controller::api::{Access, Rights, rights::Judge};
use penstock_controller::metrics::ReviewMetrics;
use penstock_controller_core::site::PublicHosts;
use penstock_proto::secret::Secret;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, Heard, TOKEN};
use crate::support::event;

/// Ann may do everything with accounts, pools and Secrets of `llm`.
const ANN: &str = "token-of-ann";
/// Bob may do nothing.
const BOB: &str = "token-of-bob";
/// The boss may look at every account.
const BOSS: &str = "token-of-the-boss";

/// An API server that knows them, and counts what it is asked.
#[derive(Default)]
struct Fake {
    asked: AtomicUsize,
    away: AtomicBool,
}

struct Handle(Arc<Fake>);

impl Fake {
    fn take_question(&self) -> Result<(), anyhow::Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!(!self.away.load(Ordering::Relaxed), "connection refused");
        Ok(())
    }

    /// The API, in a cluster whose API server this is.
    async fn api(self: &Arc<Self>) -> Api {
        let judge = Box::new(Handle(Arc::clone(self)));
        let rights = Rights::new(judge, Arc::new(Timestamp::now), &ReviewMetrics::default());
        let secret = "penstock-system/penstock-admin-token";
        let api =
            Api::with_access(Access::in_cluster(Secret::new(TOKEN), secret, rights, PublicHosts::default()))
                .await;
        for (namespace, name) in [("llm", "a"), ("search", "b")] {
            let new = json!({"name": name, "namespace": namespace, "provider": "ollama"});
            let created = api.call(Method::POST, "/api/accounts", &new).await;
            assert_eq!(created.status, StatusCode::CREATED, "{}", created.json);
        }
        api
    }
}

impl Judge for Handle {
    fn token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenReviewStatus, anyhow::Error>> {
        Box::pin(async move {
            self.0.take_question()?;
            let name = match token {
                ANN => "system:serviceaccount:llm:ann",
                BOB => "system:serviceaccount:lobby:bob",
                BOSS => "boss@example.com",
                _ => return Ok(TokenReviewStatus::default()),
            };
            let status = json!({"authenticated": true, "user": {"username": name, "groups": ["people"]}});
            Ok(serde_json::from_value(status)?)
        })
    }

    fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> BoxFuture<'_, Result<SubjectAccessReviewStatus, anyhow::Error>> {
        Box::pin(async move {
            self.0.take_question()?;
            assert_eq!(spec.groups, Some(vec!["people".to_owned()]));
            let wanted = spec.resource_attributes.unwrap_or_default();
            let allowed = match spec.user.as_deref() {
                Some("system:serviceaccount:llm:ann") => wanted.namespace.as_deref() == Some("llm"),
                Some("boss@example.com") => {
                    wanted.verb.as_deref() == Some("list")
                        && wanted.resource.as_deref() == Some("provideraccounts")
                }
                _ => false,
            };
            Ok(SubjectAccessReviewStatus { allowed, ..SubjectAccessReviewStatus::default() })
        })
    }
}

async fn call_as(api: &Api, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = api.anybody(method, path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    let request = request.header(header::CONTENT_TYPE, "application/json");
    api.send(request, &body.to_string()).await
}

async fn get_as(api: &Api, token: &str, path: &str) -> Answer {
    call_as(api, token, Method::GET, path, &Value::Null).await
}

fn ids(answer: &Answer) -> BTreeSet<&str> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    answer.json.as_array().unwrap().iter().filter_map(|one| one["id"].as_str()).collect()
}

#[tokio::test]
async fn who_has_rights_in_one_namespace_sees_and_changes_that_only() {
    let api = Arc::<Fake>::default().api().await;
    assert_eq!(ids(&get_as(&api, ANN, "/api/accounts").await), ["llm/a"].into());
    assert_eq!(ids(&get_as(&api, ANN, "/api/pools").await), ["llm/default"].into());
    assert_eq!(ids(&get_as(&api, BOSS, "/api/accounts").await), ["llm/a", "search/b"].into());
    assert_eq!(get_as(&api, ANN, "/api/accounts/llm%2Fa").await.status, StatusCode::OK);
    let foreign = get_as(&api, ANN, "/api/accounts/search%2Fb").await;
    let said = foreign.refused(StatusCode::FORBIDDEN);
    for named in ["ann", "get", "provideraccounts", "penstock.dev", "search"] {
        assert!(said.contains(named), "{named}: {said}");
    }
    let change = json!({"priority": 9});
    let patch = |path| call_as(&api, ANN, Method::PATCH, path, &change);
    assert_eq!(patch("/api/accounts/llm%2Fa").await.status, StatusCode::OK);
    patch("/api/accounts/search%2Fb").await.refused(StatusCode::FORBIDDEN);
    let key = |namespace| json!({"name": "laptop", "namespace": namespace});
    let make = async |namespace| call_as(&api, ANN, Method::POST, "/api/keys", &key(namespace)).await.status;
    assert_eq!((make("llm").await, make("search").await), (StatusCode::CREATED, StatusCode::FORBIDDEN));
    let shown = api.shown("/api/accounts").await;
    let priorities = shown.as_array().unwrap().iter().map(|one| one["priority"].as_u64().unwrap());
    assert_eq!(priorities.collect::<Vec<_>>(), [9, 0]);
    let peeking = get_as(&api, BOSS, "/api/keys").await;
    assert!(peeking.refused(StatusCode::FORBIDDEN).contains("secrets"));
}

/// What each operation is called with, so that nothing but the right to it is missing.
fn well_formed(path: &str) -> (String, Value) {
    let body = match path {
        "/api/accounts" => json!({"name": "x", "namespace": "llm", "provider": "ollama"}),
        "/api/accounts/{id}/priority" => json!({"priority": 1}),
        "/api/keys" => json!({"name": "x"}),
        _ => json!({}),
    };
    (path.replace("{id}", "llm%2Fa").replace("{name}", "llm%2Flaptop"), body)
}

#[tokio::test]
async fn who_has_no_right_at_all_is_refused_by_every_operation_that_shows_or_does_something() {
    let api = Arc::<Fake>::default().api().await;
    for (method, path) in api.document.operations() {
        // A request of the history is not there for them; strategies are the same everywhere.
        let harmless = ["/api/requests/{id}", "/api/strategies"].contains(&path.as_str());
        if harmless || api.document.is_open(&method, &path) {
            continue;
        }
        let (at, body) = well_formed(&path);
        let answer = call_as(&api, BOB, method.clone(), &at, &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {}", answer.json);
    }
    assert_eq!(api.shown("/api/accounts").await.as_array().unwrap().len(), 2, "nothing was done");
}

#[tokio::test]
async fn requests_are_seen_by_who_may_list_the_accounts_of_the_caller_s_namespace() {
    let api = Arc::<Fake>::default().api().await;
    let now = Timestamp::now();
    let mut events: Vec<_> =
        (0..3).map(|age| event(now - SignedDuration::from_secs(age), age.unsigned_abs())).collect();
    for (event, namespace) in events.iter_mut().zip(["llm", "search", ""]) {
        event.caller.namespace = namespace.to_owned();
        event.status = 529;
    }
    api.ingest.submit(events.clone()).await.unwrap();
    for (token, seen) in [(ANN, 1), (BOSS, 3)] {
        let page = get_as(&api, token, "/api/requests").await;
        assert_eq!(page.json["requests"].as_array().unwrap().len(), seen, "{}", page.json);
        let stats = get_as(&api, token, "/api/stats").await;
        assert_eq!(stats.json["totalRequests"], seen, "{}", stats.json);
        assert_eq!(stats.json["recentErrors"].as_array().unwrap().len(), seen, "{}", stats.json);
        let analytics = get_as(&api, token, "/api/analytics").await;
        assert_eq!(analytics.json["totals"]["requests"], seen, "{}", analytics.json);
        for (number, event) in events.iter().enumerate() {
            let one = get_as(&api, token, &format!("/api/requests/{}", event.id)).await;
            let expected = if number < seen { StatusCode::OK } else { StatusCode::NOT_FOUND };
            assert_eq!(one.status, expected, "{token} {number}: {}", one.json);
        }
    }
    let wider = get_as(&api, ANN, "/api/requests?namespace=search").await;
    assert_eq!(wider.json["requests"], json!([]), "a filter narrows, and never widens");
}

#[tokio::test]
async fn who_follows_requests_hears_of_those_they_may_see() {
    let api = Arc::<Fake>::default().api().await;
    let follow = api.anybody(Method::GET, "/api/requests/stream");
    let follow = follow.header(header::AUTHORIZATION, format!("Bearer {ANN}"));
    let mut stream = Heard::from(api.open(follow, "").await.into_body());
    stream.until("connected").await;
    let now = Timestamp::now();
    let mut events = [event(now, 1), event(now, 2)];
    for (event, namespace) in events.iter_mut().zip(["search", "llm"]) {
        event.caller.namespace = namespace.to_owned();
        api.ingest.submit(vec![event.clone()]).await.unwrap();
    }
    let heard = stream.until(&events[1].id.to_string()).await;
    assert!(!heard.contains(&events[0].id.to_string()), "{heard}");
}

#[tokio::test]
async fn a_token_of_the_cluster_is_exchanged_for_a_cookie_as_the_admin_token_is() {
    let fake = Arc::<Fake>::default();
    let api = fake.api().await;
    let log_in = async |token: &str| {
        let request =
            api.anybody(Method::POST, "/api/session").header(header::CONTENT_TYPE, "application/json");
        api.send(request, &json!({"token": token}).to_string()).await
    };
    let good = log_in(ANN).await;
    let cookie = good.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(ANN), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let with = |path| api.send(api.anybody(Method::GET, path).header(header::COOKIE, cookie), "");
    assert_eq!(ids(&with("/api/accounts").await), ["llm/a"].into());
    with("/api/problems").await.refused(StatusCode::FORBIDDEN);
    let bad = log_in("wrong").await;
    let said = bad.refused(StatusCode::UNAUTHORIZED);
    assert!(said.contains("kubectl create token") && said.contains("penstock-admin-token"), "{said}");
    assert!(!bad.headers.contains_key(header::SET_COOKIE));
    let long = log_in(&"x".repeat(20_000)).await;
    long.refused(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_api_server_is_asked_once_for_many_calls_and_its_absence_is_said() {
    let fake = Arc::<Fake>::default();
    let api = fake.api().await;
    get_as(&api, ANN, "/api/accounts").await;
    let asked = fake.asked.load(Ordering::Relaxed);
    for _ in 0..5 {
        get_as(&api, ANN, "/api/accounts").await;
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), asked);
    fake.away.store(true, Ordering::Relaxed);
    let away = get_as(&api, BOB, "/api/accounts").await;
    assert!(away.refused(StatusCode::SERVICE_UNAVAILABLE).contains("API server"));
    assert_eq!(api.get("/api/accounts").await.status, StatusCode::OK, "the admin token needs nobody");
}
