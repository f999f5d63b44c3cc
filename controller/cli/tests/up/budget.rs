//! A budget is a hard stop: the account serves until it is spent, and then the others do.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::running::{Running, manifest, signal};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_serves_until_its_budget_is_spent_and_again_when_it_is_raised() {
    let running = Running::start();
    set_budget(&running, "0.0001", 1).await;
    assert_eq!(running.served_by().await, "default/first");

    let spent = first_is(&running, "BudgetExhausted").await;
    assert_eq!(spent["reason"], "BudgetExhausted");
    let until = spent["limitedUntil"].as_str().unwrap();
    assert!(until.ends_with("-01T00:00:00Z"), "until the next month begins: {until}");
    running.everything_is_served_by("default/second").await;

    // Statuses are written once a second.
    running.wait_for_file("status.json", "BudgetExhausted").await;
    signal(running.process("penstock-controller").unwrap(), Signal::KILL);
    let back = running.wait_for("/api/accounts/first", "the controller is back", Value::is_object).await;
    assert_eq!(back["state"], "BudgetExhausted", "from the first answer on");
    running.everything_is_served_by("default/second").await;

    set_budget(&running, "100", 2).await;
    first_is(&running, "Available").await;
    running.everything_is_served_by("default/first").await;
}
