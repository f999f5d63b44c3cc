//! What a person does with `penstock up` on the first day.

use std::fs;

use http::Method;
use serde_json::{Value, json};

use crate::running::{Running, manifest};

fn state_of<'a>(accounts: &'a Value, id: &str) -> &'a str {
    let accounts = accounts.as_array().map_or(&[][..], Vec::as_slice);
    accounts
        .iter()
        .find(|account| account["id"] == id)
        .map_or("", |account| account["state"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_manifest_is_in_force_and_a_mistake_changes_nothing() {
    let running = Running::start();
    assert_eq!(running.served_by().await, "default/first");

    let paused = format!("{}  paused: true\n", manifest("first", 0, running.simulator));
    fs::write(running.config("first.yaml"), paused).unwrap();
    let paused = |accounts: &Value| state_of(accounts, "default/first") == "Paused";
    running.wait_for("/api/accounts", "the edit is in force", paused).await;
    running.everything_is_served_by("default/second").await;

    fs::write(running.config("second.yaml"), "kind: ProviderAccount\nspec:\n  priority: 900\n").unwrap();
    let problems =
        running.wait_for("/api/problems", "the mistake is reported", |all| all[0].is_object()).await;
    assert_eq!(problems[0]["file"], "second.yaml");
    assert_eq!(running.served_by().await, "default/second", "the last good state is in force");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_added_paused_resumed_and_removed_on_the_command_line() {
    let running = Running::start();
    let ok = |args: &[&str]| {
        let output = running.command(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let account = json!({
        "name": "third", "provider": "anthropic", "apiKey": "sk-third", "priority": 20,
        "baseUrl": format!("http://{}/anthropic", running.simulator),
    });
    let created = running.call(Method::POST, "/api/accounts", &account).await.unwrap();
    assert_eq!(created.status, 201, "{:?}", created.body);
    let again = running.call(Method::POST, "/api/accounts", &account).await.unwrap();
    assert_eq!(again.status, 409);
    assert!(ok(&["accounts", "list"]).contains("third"));
    assert!(
        !ok(&["accounts", "describe", "third", "-o", "json"]).contains("sk-third"),
        "no credential is shown"
    );

    ok(&["accounts", "pause", "third"]);
    let state = |name: &str| {
        let (id, name) = (format!("default/{}", "third"), name.to_owned());
        move |accounts: &Value| state_of(accounts, &id) == name
    };
    running.wait_for("/api/accounts", "paused", state("Paused")).await;
    ok(&["accounts", "resume", "third"]);
    running.wait_for("/api/accounts", "in use", state("Available")).await;
    ok(&["accounts", "remove", "third", "--yes"]);
    running.wait_for("/api/accounts", "removed", state("")).await;

    let unknown = running.command(&["accounts", "pause", "nobody"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nobody"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_penstock_ends_cleanly_and_keeps_its_history() {
    let running = Running::start();
    running.served_by().await;
    let listed = running.command(&["requests", "-o", "json"]);
    let rows: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(rows[0]["modelAsked"], "claude-sonnet-4-5");
    assert!(rows[0]["costUsd"].as_f64() > Some(0.0), "{rows}");
    let (status, printed) = running.stop();
    assert!(status.success(), "{status}: {printed}");
    assert!(!printed.contains("sk-first"), "no credential is printed");
}
