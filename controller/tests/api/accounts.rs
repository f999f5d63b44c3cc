//! Accounts over the API: made, changed, removed, and what is answered when that cannot be.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use penstock_controller_core::Plan;
use penstock_crds::Provider;
use penstock_crds::account::status::State;
use penstock_proto::ids::AccountId;
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};
use penstock_proto::observation::Observation;
use penstock_proto::resource::Resource;
use penstock_proto::secret::Secret;
use serde_json::{Value, json};

use crate::harness::{Api, SECRET};

async fn account(api: &Api, name: &str) -> Value {
    api.shown(&format!("/api/accounts/{name}")).await
}

#[tokio::test]
async fn an_account_is_made_shown_changed_and_deleted() {
    let api = Api::start().await;
    let new = json!({
        "name": "a", "provider": "anthropic-compatible", "baseUrl": "https://models.example", "priority": 7,
        "apiKey": format!("{SECRET}-1"), "allowModels": ["claude-*"],
    });
    let created = api.call(Method::POST, "/api/accounts", &new).await;
    assert_eq!((created.status, &created.json["success"]), (StatusCode::CREATED, &json!(true)));
    let shown = account(&api, "a").await;
    for (field, value) in [
        ("id", json!("default/a")),
        ("provider", json!("anthropic-compatible")),
        ("baseUrl", json!("https://models.example")),
        ("priority", json!(7)),
        ("allowModels", json!(["claude-*"])),
        ("requestCount", json!(0)),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(api.shown("/api/accounts").await, json!([shown]));
    assert_eq!(account(&api, "default%2Fa").await, shown, "by its whole name");

    let change = json!({"priority": 3, "apiKey": format!("{SECRET}-2"), "autoFallback": false});
    assert_eq!(api.call(Method::PATCH, "/api/accounts/a", &change).await.status, StatusCode::OK);
    let changed = account(&api, "a").await;
    assert_eq!((&changed["priority"], &changed["autoFallback"]), (&json!(3), &json!(false)));
    assert_eq!(changed["allowModels"], json!(["claude-*"]), "what is left out stays");
    let objects = Arc::clone(&api.directory.published().objects().borrow());
    let secret = objects.secrets.values().next().unwrap();
    assert_eq!(secret.data["apiKey"].expose(), format!("{SECRET}-2"));

    let deleted = api.call(Method::DELETE, "/api/accounts/a", &json!({"confirm": "a"})).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert_eq!(api.shown("/api/accounts").await, json!([]));
    assert!(api.directory.published().objects().borrow().secrets.is_empty(), "and with it its credential");
}

#[tokio::test]
async fn an_account_is_paused_resumed_and_moved() {
    let api = Api::start().await;
    api.add_account("a").await;
    let post = async |what: &str, body: Value| {
        let answer = api.call(Method::POST, &format!("/api/accounts/a/{what}"), &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.json);
        account(&api, "a").await
    };
    assert_eq!(post("pause", Value::Null).await["paused"], true);
    assert_eq!(post("resume", Value::Null).await["paused"], false);
    assert_eq!(post("priority", json!({"priority": 42})).await["priority"], 42);
    let models = json!({"allowModels": ["claude-*"], "modelMap": {"claude-*": ["glm-4.7"]}});
    assert_eq!(post("models", models).await["modelMap"], json!({"claude-*": ["glm-4.7"]}));
    let is_known = |plan: &Arc<Plan>| {
        plan.resources.values().any(|one| match &one.resource {
            Resource::Account(account) => account.model_map.len() == 1,
            _ => false,
        })
    };
    api.reconciler.plan().wait_for(is_known).await.unwrap();
    let rules = api.shown("/api/models").await;
    assert_eq!(
        (&rules[0]["account"], &rules[0]["map"]),
        (&json!("default/a"), &json!({"claude-*": ["glm-4.7"]}))
    );
}

#[tokio::test]
async fn limits_are_forgotten_when_a_person_says_so() {
    let api = Api::start().await;
    api.add_account("a").await;
    let id: AccountId = "default/a".parse().unwrap();
    let mut plan = api.reconciler.plan();
    plan.wait_for(|plan| plan.accounts.contains_key(&id)).await.unwrap();
    let now = Timestamp::now();
    let mut limited = Observation::about(id.clone(), now);
    let scope = CooldownScope { reason: CooldownReason::Throttled, model: None };
    let until = now + SignedDuration::from_hours(1);
    limited.cooldowns.push((scope, Cooldown { until, observed_at: now }));
    api.reconciler.observe(vec![limited]).await;
    plan.wait_for(|plan| plan.accounts[&id].state == Some(State::Limited)).await.unwrap();
    let shown = account(&api, "a").await;
    assert_eq!((&shown["state"], &shown["limitedUntil"]), (&json!("Limited"), &json!(until)));
    assert!(shown["message"].as_str().unwrap().contains("per minute"), "{shown}");

    let reset = api.call(Method::POST, "/api/accounts/a/force-reset", &Value::Null).await;
    assert_eq!(reset.status, StatusCode::OK);
    plan.wait_for(|plan| plan.accounts[&id].state == Some(State::Available)).await.unwrap();
    assert_eq!(account(&api, "a").await["state"], "Available");
}

#[tokio::test]
async fn what_cannot_be_an_account_is_refused_with_what_to_send_instead() {
    let api = Api::start().await;
    api.add_account("a").await;
    for (new, said) in [
        (json!({"name": "b", "provider": "antropic"}), "claude-code"),
        (json!({"name": "B!", "provider": "anthropic"}), "name"),
        (json!({"name": "b", "provider": "openai-compatible"}), "baseUrl"),
        (json!({"name": "b", "provider": "anthropic", "priority": 101}), "priority"),
        (json!({"name": "b", "provider": "anthropic", "priority": "high"}), "priority: invalid type"),
        (json!({"name": "b", "provider": "anthropic", "colour": "red"}), "unknown field `colour`, expected"),
        (json!({"provider": "anthropic"}), "missing field `name`"),
        (json!([]), "not what this endpoint takes"),
    ] {
        let answer = api.call(Method::POST, "/api/accounts", &new).await;
        let message = answer.refused(StatusCode::BAD_REQUEST);
        assert!(message.contains(said), "{new}: {message}");
    }
    let again = api.call(Method::POST, "/api/accounts", &json!({"name": "a", "provider": "ollama"})).await;
    assert!(again.refused(StatusCode::CONFLICT).contains("exists already"));
    let bad = api.call(Method::PATCH, "/api/accounts/a", &json!({"priority": 200})).await;
    assert!(bad.refused(StatusCode::BAD_REQUEST).contains("priority"));
    assert_eq!(api.shown("/api/accounts").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_answered_in_words() {
    let api = Api::start().await;
    let post = |kind: &str| api.admin(Method::POST, "/api/accounts").header(header::CONTENT_TYPE, kind);
    let json = "application/json";
    let key = format!(r#"{{"name": "a", "provider": "anthropic", "apiKey": "{SECRET}-1""#);
    let cut = api.send(post(json), &key).await;
    assert!(cut.refused(StatusCode::BAD_REQUEST).contains("not JSON: EOF"));
    let form = api.send(post("application/x-www-form-urlencoded"), "name=a").await;
    assert!(form.refused(StatusCode::BAD_REQUEST).contains("content-type: application/json"));
    let large = api.send(post(json), &"x".repeat(300 * 1024)).await;
    assert!(large.refused(StatusCode::PAYLOAD_TOO_LARGE).contains("256 KiB"));
}

#[tokio::test]
async fn an_account_that_is_not_there_is_not_found() {
    let api = Api::start().await;
    let body = json!({"confirm": "nobody", "priority": 1});
    for (method, what) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/pause"),
        (Method::POST, "/resume"),
        (Method::POST, "/priority"),
        (Method::POST, "/force-reset"),
    ] {
        let answer = api.call(method, &format!("/api/accounts/nobody{what}"), &body).await;
        assert!(answer.refused(StatusCode::NOT_FOUND).contains("default/nobody"), "{what}");
    }
    let change = api.call(Method::PATCH, "/api/accounts/nobody", &json!({"paused": true})).await;
    change.refused(StatusCode::NOT_FOUND);
    let malformed = api.call(Method::POST, "/api/accounts/a%20b/pause", &Value::Null).await;
    malformed.refused(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nothing_is_deleted_without_its_name() {
    let api = Api::start().await;
    api.add_account("a").await;
    let without = api.send(api.admin(Method::DELETE, "/api/accounts/a"), "").await;
    let wrong = api.call(Method::DELETE, "/api/accounts/a", &json!({"confirm": "b"})).await;
    for answer in [without, wrong] {
        assert!(answer.refused(StatusCode::BAD_REQUEST).contains(r#"{"confirm": "a"}"#));
        assert_eq!(answer.json["confirmationRequired"], true);
    }
    assert_eq!(account(&api, "a").await["name"], "a");
}

#[tokio::test]
async fn an_account_of_the_environment_cannot_be_deleted_but_changed() {
    let api = Api::with_keys(vec![(Provider::Anthropic, Secret::new(format!("{SECRET}-env")))]).await;
    let name = api.shown("/api/accounts").await[0]["name"].as_str().unwrap().to_owned();
    let path = format!("/api/accounts/{name}");
    let deleted = api.call(Method::DELETE, &path, &json!({"confirm": name})).await;
    assert!(deleted.refused(StatusCode::CONFLICT).contains("cannot be changed here"));
    let changed = api.call(Method::PATCH, &path, &json!({"priority": 9})).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(account(&api, &name).await["priority"], 9);
}
