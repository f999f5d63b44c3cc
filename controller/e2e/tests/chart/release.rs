//! Install, upgrade, rollback and uninstall keep what must be kept.

use penstock_e2e::ApiServer;
use serde_json::Value;

use super::{chart, helm};

/// Helm with the rights of an administrator of `server`; what it printed.
fn helm_on(server: &ApiServer, arguments: &[&str]) -> String {
    let mut command = helm(arguments);
    let done = command.env("KUBECONFIG", server.kubeconfig()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "helm {}: {said}", arguments.join(" "));
    String::from_utf8(done.stdout).unwrap()
}

fn get(server: &ApiServer, what: &[&str]) -> Value {
    let text = server.kubectl(&[&["get", "--output=json"], what].concat()).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn an_upgrade_and_a_rollback_keep_the_password_and_the_authority_of_the_webhook() {
    // Its own: definitions are of the whole cluster, and so are the names that the release takes.
    let server = &ApiServer::start().await.unwrap();
    let chart = chart();
    let chart = chart.to_str().unwrap();
    let release = ["penstock", chart, "--namespace=penstock-system"];
    helm_on(server, &[&["install"], &release[..], &["--create-namespace"]].concat());
    let secret = ["secret", "penstock-postgres", "--namespace=penstock-system"];
    let webhook = ["mutatingwebhookconfiguration", "penstock"];
    let password = get(server, &secret)["data"].clone();
    // As the controller writes it.
    let bundle = r#"[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"Y2E="},
                     {"op":"add","path":"/webhooks/1/clientConfig/caBundle","value":"Y2E="}]"#;
    server.kubectl(&["patch", webhook[0], webhook[1], "--type=json", "--patch", bundle]).unwrap();

    let more = ["--set=injection.timeoutSeconds=9,controller.replicas=3"];
    helm_on(server, &[&["upgrade"], &release[..], &more].concat());
    assert_eq!(held(server, &secret, &webhook), (password.clone(), 9, vec!["Y2E="; 2].into()));
    helm_on(server, &["rollback", "penstock", "1", "--namespace=penstock-system"]);
    assert_eq!(held(server, &secret, &webhook), (password, 5, vec!["Y2E="; 2].into()));
}

/// The password, the time-out and the authorities of the webhook.
fn held(server: &ApiServer, secret: &[&str], webhook: &[&str]) -> (Value, i64, Value) {
    let webhooks = get(server, webhook)["webhooks"].clone();
    let webhooks = webhooks.as_array().unwrap();
    let bundles = webhooks.iter().map(|webhook| webhook["clientConfig"]["caBundle"].clone()).collect();
    let timeout = webhooks[0]["timeoutSeconds"].as_i64().unwrap();
    (get(server, secret)["data"].clone(), timeout, bundles)
}

#[tokio::test]
async fn uninstalling_leaves_the_definitions_and_a_later_install_takes_them_over() {
    let server = &ApiServer::start().await.unwrap();
    let chart = chart();
    let install =
        ["install", "penstock", chart.to_str().unwrap(), "--namespace=penstock-system", "--create-namespace"];
    helm_on(server, &install);
    // Without hooks: nothing runs pods here.
    helm_on(server, &["uninstall", "penstock", "--namespace=penstock-system", "--no-hooks"]);
    let left = get(server, &["customresourcedefinitions"]);
    assert_eq!(left["items"].as_array().unwrap().len(), penstock_crds::definitions().len());
    for kind in ["clusterroles", "clusterrolebindings", "mutatingwebhookconfigurations"] {
        let ours = get(server, &[kind, "--selector=app.kubernetes.io/name=penstock"]);
        assert_eq!(ours["items"], Value::Array(vec![]), "{kind}");
    }
    let namespaced = "secrets,configmaps,serviceaccounts,services,deployments,statefulsets,roles,rolebindings,\
                      poddisruptionbudgets";
    let ours = get(server, &[namespaced, "--all-namespaces", "--selector=app.kubernetes.io/name=penstock"]);
    assert_eq!(ours["items"], Value::Array(vec![]));
    helm_on(server, &install);
}
