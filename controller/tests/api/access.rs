//! Who may use the API.

use http::{Method, StatusCode, header};
use serde_json::json;

use crate::harness::{Answer, Api, TOKEN};

/// A new session's cookie, as a browser sends it back.
async fn cookie(api: &Api) -> String {
    let link = api.call(Method::POST, "/api/session/links", &json!({})).await;
    let path = link.json["path"].as_str().unwrap().to_owned();
    let followed = api.send(api.anybody(Method::GET, &path), "").await;
    set_cookie(&followed).split(';').next().unwrap().to_owned()
}

fn set_cookie(answer: &Answer) -> &str {
    answer.headers.get(header::SET_COOKIE).map_or("", |cookie| cookie.to_str().unwrap())
}

#[tokio::test]
async fn no_operation_is_carried_out_without_a_token_or_with_a_wrong_one() {
    let api = Api::start().await;
    api.add_account("a").await;
    for (method, path) in api.document.operations() {
        if api.document.is_open(&method, &path) {
            continue;
        }
        for shown in ["", "Bearer wrong", "Bearer ", "Basic YTpi", TOKEN] {
            let request = api.anybody(method.clone(), &path).header(header::AUTHORIZATION, shown);
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let answer = api.send(request, r#"{"token": "wrong", "confirm": "a"}"#).await;
            let said = answer.refused(StatusCode::UNAUTHORIZED);
            assert!(said.contains("admin-token"), "{method} {path} does not say where the token is: {said}");
        }
    }
    assert_eq!(api.shown("/api/accounts").await.as_array().unwrap().len(), 1, "nothing was done");
}

#[tokio::test]
async fn health_needs_no_login_and_names_nothing() {
    let api = Api::start().await;
    api.add_account("private-name").await;
    let health = api.send(api.anybody(Method::GET, "/health"), "").await;
    assert_eq!((health.status, &health.json["storing"]), (StatusCode::OK, &json!(true)));
    assert!(!health.json.to_string().contains("private-name"));
    let document = api.send(api.anybody(Method::GET, "/api/openapi.json"), "").await;
    assert_eq!(document.json["openapi"], "3.1.0");
}

#[tokio::test]
async fn a_link_logs_a_browser_in_once() {
    let api = Api::start().await;
    let link = api.call(Method::POST, "/api/session/links", &json!({})).await;
    let path = link.json["path"].as_str().unwrap();
    let first = api.send(api.anybody(Method::GET, path), "").await;
    assert_eq!(
        (first.status, &first.headers[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set_cookie(&first).contains(attribute), "{attribute}: {}", set_cookie(&first));
    }
    let again = api.send(api.anybody(Method::GET, path), "").await;
    assert_eq!(
        (again.status, set_cookie(&again)),
        (StatusCode::SEE_OTHER, ""),
        "the page asks for the token"
    );
}

#[tokio::test]
async fn a_cookie_is_as_good_as_the_token_until_it_is_another() {
    let api = Api::start().await;
    let cookie = cookie(&api).await;
    let with = |cookie: &str| api.anybody(Method::GET, "/api/accounts").header(header::COOKIE, cookie);
    assert_eq!(api.send(with(&cookie), "").await.status, StatusCode::OK);
    let guessed = api.send(with("penstock_session=0000"), "").await;
    guessed.refused(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_token_is_exchanged_for_a_cookie() {
    let api = Api::start().await;
    let log_in = async |token: &str| {
        let request =
            api.anybody(Method::POST, "/api/session").header(header::CONTENT_TYPE, "application/json");
        api.send(request, &json!({"token": token}).to_string()).await
    };
    let good = log_in(TOKEN).await;
    assert_eq!(good.status, StatusCode::OK);
    assert!(set_cookie(&good).contains("HttpOnly"));
    let bad = log_in("wrong").await;
    bad.refused(StatusCode::UNAUTHORIZED);
    assert_eq!(set_cookie(&bad), "");
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_whatever_it_shows() {
    let api = Api::start().await;
    let cookie = cookie(&api).await;
    let own = format!("http://{}", api.address);
    for (origin, status) in [(own.as_str(), StatusCode::OK), ("http://evil.example", StatusCode::FORBIDDEN)] {
        let with_cookie = api.anybody(Method::GET, "/api/accounts").header(header::COOKIE, &cookie);
        let with_token = api.admin(Method::GET, "/api/accounts");
        for request in [with_cookie, with_token] {
            assert_eq!(api.send(request.header(header::ORIGIN, origin), "").await.status, status, "{origin}");
        }
    }
}

#[tokio::test]
async fn a_name_that_was_pointed_at_this_machine_is_refused_to_browsers_only() {
    let api = Api::start().await;
    let cookie = cookie(&api).await;
    let named = |request: http::request::Builder| request.header(header::HOST, "evil.example:8090");
    let browser = api.anybody(Method::GET, "/api/accounts").header(header::COOKIE, &cookie);
    let refused = api.send(named(browser), "").await;
    assert!(refused.refused(StatusCode::FORBIDDEN).contains("localhost"));
    let program = api.send(named(api.admin(Method::GET, "/api/accounts")), "").await;
    assert_eq!(program.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_an_endpoint_is_said_so_in_json() {
    let api = Api::start().await;
    let unknown = api.get("/api/acounts").await;
    assert!(unknown.refused(StatusCode::NOT_FOUND).contains("/api/openapi.json"));
    let method = api.send(api.admin(Method::PUT, "/api/accounts"), "").await;
    assert!(method.headers.contains_key(header::ALLOW));
    assert!(method.refused(StatusCode::METHOD_NOT_ALLOWED).contains("allow"));
}

#[tokio::test]
async fn behind_an_ingress_the_dashboard_is_used_by_its_public_name_and_keeps_its_cookie_to_tls() {
    let api = Api::start().await;
    let host = "penstock.example.com";
    let named = |method, path| api.anybody(method, path).header(header::HOST, host);
    let from_its_page = |method, path| named(method, path).header(header::ORIGIN, format!("https://{host}"));
    let log_in = from_its_page(Method::POST, "/api/session").header(header::CONTENT_TYPE, "application/json");
    let logged_in = api.send(log_in, &json!({"token": TOKEN}).to_string()).await;
    assert!(set_cookie(&logged_in).contains("Secure"), "{}", set_cookie(&logged_in));
    let cookie = set_cookie(&logged_in).split(';').next().unwrap();
    for request in [named(Method::GET, "/api/accounts"), from_its_page(Method::GET, "/api/accounts")] {
        assert_eq!(api.send(request.header(header::COOKIE, cookie), "").await.status, StatusCode::OK);
    }
    let foreign = named(Method::GET, "/api/accounts").header(header::ORIGIN, "https://evil.example");
    api.send(foreign.header(header::COOKIE, cookie), "").await.refused(StatusCode::FORBIDDEN);
    let other = api.anybody(Method::GET, "/api/accounts").header(header::HOST, "other.example.com");
    let refused = api.send(other.header(header::COOKIE, cookie), "").await;
    assert!(refused.refused(StatusCode::FORBIDDEN).contains("--public-hosts"));
    let plain = api.call(Method::POST, "/api/session", &json!({"token": TOKEN})).await;
    assert!(!set_cookie(&plain).contains("Secure"), "over plain HTTP it would be lost");
}
