//! What `penstock check` learns from a real API server. What follows from it is judged in tables beside the code;
//! a whole installation is checked in the tests of a whole cluster.

use std::process::Output;

use penstock_e2e::api_server::Token;
use penstock_e2e::{ApiServer, with_temp_ns};
use serde_json::{Value, json};

use super::{penstock, said};

async fn check(kubeconfig: &str, more: &[&str]) -> Output {
    let arguments: Vec<_> = ["check", "--kubeconfig", kubeconfig].iter().chain(more).copied().collect();
    penstock(&arguments, "").await
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

/// The findings of a section, as `level text`.
fn findings(report: &Value, title: &str) -> Vec<String> {
    let sections = report["sections"].as_array().unwrap();
    let section = sections.iter().find(|section| section["title"] == title).unwrap();
    let text = |finding: &Value| {
        format!("{} {}", finding["level"].as_str().unwrap(), finding["text"].as_str().unwrap())
    };
    section["findings"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_cluster_without_an_installation_fails_with_what_to_do() {
    let server = ApiServer::shared().await;
    server.apply_crds().await.unwrap();
    let kubeconfig = server.kubeconfig();
    let done = check(kubeconfig.to_str().unwrap(), &["-o", "json"]).await;
    assert_eq!(done.status.code(), Some(1));
    let report = json_of(&done);
    assert_eq!(report["healthy"], false);
    assert!(findings(&report, "Kubernetes")[0].starts_with("good the API server answers: v1."), "{report}");
    // As the server gives them back, they are ours.
    let definitions = findings(&report, "Definitions");
    assert_eq!(definitions.len(), 3);
    assert!(definitions.iter().all(|text| text.starts_with("good ")), "{definitions:?}");
    assert!(
        findings(&report, "Controller")[0]
            .starts_with("failure there is no Deployment penstock-controller in penstock-system")
    );
    assert_eq!(findings(&report, "Gateway"), ["good not installed: all workloads use sidecars"]);

    let text = said(&check(kubeconfig.to_str().unwrap(), &[]).await);
    for line in [
        "√ the API server answers",
        "× there is no Deployment penstock-controller",
        "    → helm install",
        "× failures: ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn who_may_see_nothing_is_told_so_for_each_thing() {
    let server = ApiServer::shared().await;
    with_temp_ns(&server.client(), async |namespace: &str| {
        let wanted = Token { namespace, service_account: "curious", audience: "", pod: None };
        let token = server.token(wanted).await.unwrap();
        let mut config: Value =
            serde_json::from_str(&std::fs::read_to_string(server.kubeconfig()).unwrap()).unwrap();
        config["users"][0]["user"] = json!({ "token": token });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config.to_string()).unwrap();
        let report = json_of(&check(file.path().to_str().unwrap(), &["-o", "json", "-n", namespace]).await);
        for title in ["Definitions", "Controller", "Certificates", "Sidecars", "Gateway", "Accounts"] {
            let first = &findings(&report, title)[0];
            assert!(first.starts_with("warning ") && first.contains("may not be seen"), "{title}: {first}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_is_away_is_one_failure() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Nobody listens on the port of discarded packets.
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{ "name": "x", "cluster": { "server": "https://127.0.0.1:9" } }],
        "users": [{ "name": "x", "user": {} }],
        "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
    });
    std::fs::write(file.path(), config.to_string()).unwrap();
    let done = check(file.path().to_str().unwrap(), &[]).await;
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("× the API server cannot be reached"), "{}", said(&done));
}
