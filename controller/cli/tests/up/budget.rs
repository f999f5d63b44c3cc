//! A budget is a hard stop: the account serves until it is spent, and then the others do.

use std::fs;

use http::Method;
use rustix::process::Signal;
use serde_json::Value;

use crate::http::message;
use crate::running::{Running, manifest, signal};

/// The account that answers.
async fn served(running: &Running) -> String {
    let body = message("hi");
    let answer = running.http.send(Method::POST, running.clients, "/v1/messages", None, &body).await.unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let id = answer.headers["x-penstock-request-id"].to_str().unwrap();
    let row = running.wait_for(&format!("/api/requests/{id}"), "the row", |row| row["id"].is_string()).await;
    row["account"].as_str().unwrap().to_owned()
}

/// Gives the first account this budget, and waits until that is in force.
async fn set_budget(running: &Running, usd: &str, priority: u8) {
    let first = manifest("first", priority, running.simulator);
    let budget = format!("{first}  budget: {{ period: Month, usd: \"{usd}\" }}\n");
    fs::write(running.config("first.yaml"), budget).unwrap();
    let in_force = |account: &Value| account["priority"] == priority;
    running.wait_for("/api/accounts/first", "the budget is in force", in_force).await;
}

async fn first_is(running: &Running, state: &str) -> Value {
    running.wait_for("/api/accounts/first", state, |account| account["state"] == state).await
}

/// The proxy hears of a state a moment after it is shown; from then on nothing else happens.
async fn everything_is_served_by(running: &Running, account: &str) {
    while served(running).await != account {}
    for _ in 0..5 {
        assert_eq!(served(running).await, account);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_serves_until_its_budget_is_spent_and_again_when_it_is_raised() {
    let running = Running::start();
    set_budget(&running, "0.0001", 1).await;
    assert_eq!(served(&running).await, "default/first");

    let spent = first_is(&running, "BudgetExhausted").await;
    assert_eq!(spent["reason"], "BudgetExhausted");
    let until = spent["limitedUntil"].as_str().unwrap();
    assert!(until.ends_with("-01T00:00:00Z"), "until the next month begins: {until}");
    everything_is_served_by(&running, "default/second").await;

    // Statuses are written once a second.
    running.wait_for_file("status.json", "BudgetExhausted").await;
    signal(running.process("penstock-controller").unwrap(), Signal::KILL);
    let back = running.wait_for("/api/accounts/first", "the controller is back", Value::is_object).await;
    assert_eq!(back["state"], "BudgetExhausted", "from the first answer on");
    everything_is_served_by(&running, "default/second").await;

    set_budget(&running, "100", 2).await;
    first_is(&running, "Available").await;
    everything_is_served_by(&running, "default/first").await;
}
