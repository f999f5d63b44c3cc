//! Keys, pools, problems, and the rest of what is shown.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use http::{Method, StatusCode};
use penstock_controller_core::Plan;
use penstock_proto::resource::Resource;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::Api;

/// Every file of the folder with its mode.
fn files(api: &Api) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(api.folder.path()).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let content = std::fs::read_to_string(entry.path()).unwrap();
            (content, entry.metadata().unwrap().permissions().mode() & 0o777)
        })
        .collect()
}

#[tokio::test]
async fn a_key_is_shown_once_and_only_its_hash_is_kept() {
    let api = Api::start().await;
    let created = api.call(Method::POST, "/api/keys", &json!({"name": "laptop"})).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let key = created.json["key"].as_str().unwrap();
    let hash = hex::encode(Sha256::digest(key));
    let kept = files(&api);
    assert!(kept.iter().all(|(content, mode)| !content.contains(key) && *mode == 0o600), "{kept:?}");
    let is_hashed = |content: &str| {
        // `data` of a Secret is base64, `stringData` is not.
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &hash);
        content.contains(&hash) || content.contains(&encoded)
    };
    assert!(kept.iter().any(|(content, _)| is_hashed(content)), "{kept:?}");
    assert_eq!(api.shown("/api/keys").await, json!([{"name": "laptop", "namespace": "default"}]));

    let again = api.call(Method::POST, "/api/keys", &json!({"name": "laptop"})).await;
    again.refused(StatusCode::CONFLICT);
    let bad = api.call(Method::POST, "/api/keys", &json!({"name": "My Laptop"})).await;
    assert!(bad.refused(StatusCode::BAD_REQUEST).contains("name"));
}

#[tokio::test]
async fn a_key_is_revoked_by_its_name_and_nothing_else_is() {
    let api = Api::start().await;
    api.add_account("a").await;
    api.call(Method::POST, "/api/keys", &json!({"name": "laptop", "namespace": "search"})).await;
    let revoke =
        async |name: &str, body: Value| api.call(Method::DELETE, &format!("/api/keys/{name}"), &body).await;
    let unconfirmed = revoke("search%2Flaptop", json!({})).await;
    unconfirmed.refused(StatusCode::BAD_REQUEST);
    assert_eq!(unconfirmed.json["confirmationRequired"], true);
    let elsewhere = revoke("laptop", json!({"confirm": "laptop"})).await;
    elsewhere.refused(StatusCode::NOT_FOUND);
    let no_key = revoke("a", json!({"confirm": "a"})).await;
    assert!(
        no_key.refused(StatusCode::NOT_FOUND).contains("no client key"),
        "the Secret of an account is none"
    );
    assert_eq!(revoke("search%2Flaptop", json!({"confirm": "laptop"})).await.status, StatusCode::OK);
    assert_eq!(api.shown("/api/keys").await, json!([]));
}

#[tokio::test]
async fn pools_are_shown_as_they_are_used() {
    let api = Api::start().await;
    api.add_account("a").await;
    let mut plan = api.reconciler.plan();
    plan.wait_for(|plan| plan.pools.len() == 1).await.unwrap();
    let implicit = api.shown("/api/pools").await;
    assert_eq!(implicit[0]["id"], "default/default");
    assert_eq!((&implicit[0]["implicit"], &implicit[0]["accounts"]), (&json!(true), &json!(["default/a"])));

    let pool = "apiVersion: penstock.dev/v1alpha1\nkind: AccountPool\nmetadata: {name: default}\nspec:\n  \
        accounts: {refs: [{name: a}]}\n  strategy: Session\n  onExhausted: {hold: 20s}\n  fallbacks:\n  \
        - match: {models: [\"claude-opus-*\"]}\n    targets: [{pool: self}, {account: a, model: claude-sonnet-5}]\n";
    api.write("pool.yaml", pool).await;
    let is_written = |plan: &Arc<Plan>| {
        plan.resources.values().any(|one| match &one.resource {
            Resource::Pool(pool) => pool.fallbacks.len() == 1,
            _ => false,
        })
    };
    plan.wait_for(is_written).await.unwrap();
    let written = api.shown("/api/pools").await;
    let shown = &written[0];
    assert_eq!((&shown["implicit"], &shown["strategy"]), (&json!(false), &json!("Session")));
    assert_eq!(shown["holdSeconds"], 20);
    assert_eq!(shown["fallbacks"][0]["targets"][1]["model"], "claude-sonnet-5");
    let strategies = api.shown("/api/strategies").await;
    assert!(strategies.as_array().unwrap().contains(&shown["strategy"]));
}

#[tokio::test]
async fn a_mistake_in_a_file_is_shown_with_its_line() {
    let api = Api::start().await;
    assert_eq!(api.shown("/api/problems").await, json!([]));
    let manifest = "apiVersion: penstock.dev/v1alpha1\nkind: ProviderAccount\nmetadata:\n  name: a\nspec:\n  \
        provider: ollama\n  priority: 900\n";
    api.write("a.yaml", manifest).await;
    let problems = api.shown("/api/problems").await;
    assert_eq!((&problems[0]["file"], &problems[0]["line"]), (&json!("a.yaml"), &json!(7)));
    assert!(problems[0]["message"].as_str().unwrap().contains("priority"), "{problems}");
    api.write("a.yaml", &manifest.replace("900", "9")).await;
    assert_eq!(api.shown("/api/problems").await, json!([]));
}

#[tokio::test]
async fn the_settings_in_force_are_shown() {
    let api = Api::start().await;
    let config = api.shown("/api/config").await;
    assert_eq!((&config["historyDays"], &config["database"]), (&json!(30), &json!("external")));
    assert_eq!(api.shown("/api/proxies").await, json!([]));
}
