//! A key is changed under load; what is wrong with an object is said, and the others serve.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};
use penstock_e2e::until;
use serde_json::{Value, json};

use super::history;
use super::installation::PROVIDER;
use super::team::{ACCOUNTS, Team, account, with_team};
use super::workload::{EVERY_KIND, Load, Way};

#[tokio::test]
async fn a_new_key_is_in_use_at_once_and_no_request_is_lost() {
    with_team(async |team: &Team| {
        let load = Load::start(team, &EVERY_KIND).await.unwrap();
        let renewed = |name: &str| format!("{}-renewed", team.key(name));
        for (name, _) in ACCOUNTS {
            team.set_key(name, &renewed(name)).await.unwrap();
        }
        let began = Instant::now();
        let new_keys: Vec<_> = ACCOUNTS.iter().map(|(name, _)| renewed(name)).collect();
        until("the new key by every worker", async || {
            let served = team.simulator().served(&new_keys).await?;
            ensure!(EVERY_KIND.iter().all(|worker| served.contains_key(worker.name)), "only by {served:?}");
            Ok(())
        })
        .await
        .unwrap();
        println!(
            "new keys are in use by everyone at most {:?} after kubectl applied the last",
            began.elapsed()
        );
        never_back(team, &new_keys).await.unwrap();
        // What the old keys may do is over, for good.
        for key in team.keys() {
            team.simulator().fault("unauthorized", &key, json!({})).await.unwrap();
        }
        until("some more answers", async || {
            let served = team.simulator().served(&new_keys).await?;
            ensure!(served.values().all(|answers| *answers >= 10), "{served:?}");
            Ok(())
        })
        .await
        .unwrap();
        let outcome = load.stop().await.unwrap();
        outcome.assert_that_nothing_failed();
        history::is_complete(team.cluster(), team.namespace(), &outcome).await.unwrap();
    })
    .await;
}

/// A sidecar that has used the new key of an account once does not use the old one again.
async fn never_back(team: &Team<'_>, new_keys: &[String]) -> Result<()> {
    for (new, old) in new_keys.iter().zip(team.keys()) {
        let mut first_new = BTreeMap::new();
        for one in team.simulator().arrived(new, 0).await? {
            first_new.entry(one.worker().unwrap_or_default().to_owned()).or_insert(one.n);
        }
        let sidecars = EVERY_KIND.iter().filter(|worker| worker.way == Way::Sidecar);
        for (worker, first) in sidecars.filter_map(|worker| Some((worker.name, *first_new.get(worker.name)?)))
        {
            let later = team.simulator().arrived(&old, first).await?;
            let back: Vec<_> = later.iter().filter(|one| one.worker() == Some(worker)).collect();
            ensure!(back.is_empty(), "{worker} used the old key after the new one: {back:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_an_object_is_said_and_the_others_serve() {
    with_team(async |team: &Team| {
        let load = Load::start(team, &EVERY_KIND).await.unwrap();
        for object in wrong_objects(&foreign_account(team).await.unwrap()) {
            team.apply(&object).await.unwrap();
        }
        for (resource, name, condition) in [
            ("pa", "no-secret-0", "CredentialsValid"),
            ("pa", "wrong-secret-0", "CredentialsValid"),
            ("pa", "wrong-url-0", "Accepted"),
            ("ap", "default", "Accepted"),
        ] {
            let said = is_refused(team, resource, name, condition).await.unwrap();
            println!("{resource} {name}: {said}");
            let events = until("an event", async || {
                let events = team.events(name).await?;
                ensure!(events.iter().any(|event| event.starts_with("Warning")), "{events:?}");
                Ok(events)
            });
            println!("{:?}", events.await.unwrap());
        }
        load.passes(8).await.unwrap();
        let outcome = load.stop().await.unwrap();
        outcome.assert_that_nothing_failed();
        history::is_complete(team.cluster(), team.namespace(), &outcome).await.unwrap();
    })
    .await;
}

/// A good account in another namespace, which does not allow this one.
async fn foreign_account(team: &Team<'_>) -> Result<Value> {
    let name = format!("of-others-than-{}", team.namespace());
    let mut foreign = account(&name, "anthropic", &format!("http://simulator.{PROVIDER}:8080"));
    foreign["spec"]["credentials"]["secretRef"]["name"] = json!(name);
    for object in [secret(&name, &json!({ "apiKey": "sk-of-others" })), foreign] {
        team.apply_in(PROVIDER, &object).await?;
    }
    Ok(json!({ "name": name, "namespace": PROVIDER }))
}

fn secret(name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data })
}

/// Each would be asked before all others if it were good.
fn wrong_objects(foreign: &Value) -> Vec<Value> {
    let simulator = format!("http://simulator.{PROVIDER}:8080");
    let own = ACCOUNTS.iter().map(|(name, _)| json!({ "name": name }));
    let refs: Vec<_> = std::iter::once(foreign.clone()).chain(own).collect();
    let pool = json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": "AccountPool", "metadata": { "name": "default" },
        "spec": { "accounts": { "refs": refs } },
    });
    vec![
        account("no-secret-0", "anthropic", &simulator),
        secret("wrong-secret-0", &json!({ "apikey": "sk-misspelt" })),
        account("wrong-secret-0", "anthropic", &simulator),
        secret("wrong-url-0", &json!({ "apiKey": "sk-unused" })),
        // Good enough for the schema, no address for a connection.
        account("wrong-url-0", "openai", "http://simulator:99999"),
        pool,
    ]
}

/// Waits until the condition says no; its reason and message.
async fn is_refused(team: &Team<'_>, resource: &str, name: &str, condition: &str) -> Result<String> {
    until("the condition", async || {
        let object =
            team.cluster().kubectl(&["get", resource, name, "-n", team.namespace(), "-o", "json"]).await?;
        let object: Value = serde_json::from_str(&object)?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|it| it["type"] == condition && it["status"] == "False");
        let found = found.ok_or_else(|| anyhow::anyhow!("{resource} {name}: {}", object["status"]))?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        ensure!(!text("reason").is_empty() && !text("message").is_empty(), "it does not say why: {found}");
        Ok(format!("{}: {}", text("reason"), text("message")))
    })
    .await
}
