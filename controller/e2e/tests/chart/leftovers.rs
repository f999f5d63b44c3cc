//! What the controller made besides the release goes with it, by the rights that the chart gives to its hook.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use penstock_e2e::api_server::{ApiServer, Token};
use penstock_e2e::product;
use penstock_e2e::scratch::Scratch;
use serde_json::{Value, json};

use super::{NAMESPACE, chart, helm};

const HOOK: &str = "penstock-uninstall";

fn apply(server: &ApiServer, scratch: &Scratch, object: &Value) {
    let file = scratch.write("object.json", &object.to_string()).unwrap();
    server.kubectl(&["apply", "--filename", file.to_str().unwrap()]).unwrap();
}

/// An object as the controller makes it.
fn made(api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": name, "namespace": namespace, "labels": { "app.kubernetes.io/managed-by": "penstock" },
        },
    })
}

/// Everything of the kinds that the controller makes, as `kind/name`.
fn left(server: &ApiServer) -> Vec<String> {
    let flags = ["get", "configmaps,secrets,leases", "--all-namespaces", "--output=name"];
    let listed = server.kubectl(&flags).unwrap();
    // Leases of the API server itself.
    listed.lines().filter(|name| name.contains("penstock")).map(str::to_owned).collect()
}

/// A kubeconfig with the rights of the hook's ServiceAccount, which the chart's rules give it.
async fn rights_of_the_hook(server: &ApiServer, scratch: &Scratch) -> PathBuf {
    let chart = chart();
    let base = ["template", "penstock", chart.to_str().unwrap(), "--namespace", NAMESPACE];
    let rendered =
        helm(&[&base[..], &["--show-only", "templates/uninstall/rbac.yaml"]].concat()).output().unwrap();
    let rules = scratch.write("rules.yaml", &String::from_utf8(rendered.stdout).unwrap()).unwrap();
    server.kubectl(&["apply", "--filename", rules.to_str().unwrap()]).unwrap();
    let token = Token { namespace: NAMESPACE, service_account: HOOK, audience: "", pod: None };
    let token = server.token(token).await.unwrap();
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(server.kubeconfig()).unwrap()).unwrap();
    config["users"][0]["user"] = json!({ "token": token });
    scratch.write("kubeconfig", &config.to_string()).unwrap()
}

#[tokio::test]
async fn what_the_controller_made_goes_when_its_last_pod_has_gone() {
    let (server, scratch) = (&ApiServer::start().await.unwrap(), &Scratch::new("leftovers").unwrap());
    for namespace in [NAMESPACE, "llm"] {
        server.kubectl(&["create", "namespace", namespace]).unwrap();
        apply(server, scratch, &made("v1", "ConfigMap", namespace, "penstock-ca"));
    }
    for secret in ["penstock-ca", "penstock-admin-token"] {
        apply(server, scratch, &made("v1", "Secret", NAMESPACE, secret));
    }
    apply(server, scratch, &made("coordination.k8s.io/v1", "Lease", NAMESPACE, "penstock-controller"));
    // Of somebody else, by names that are like ours.
    let mut other = made("v1", "ConfigMap", "default", "penstock-ca");
    other["metadata"]["labels"] = json!({});
    apply(server, scratch, &other);
    apply(server, scratch, &made("v1", "Secret", "llm", "penstock-key"));
    let mut pod = made("v1", "Pod", NAMESPACE, "penstock-controller-1");
    pod["metadata"]["labels"] =
        json!({ "app.kubernetes.io/instance": "penstock", "app.kubernetes.io/component": "controller" });
    pod["spec"] = json!({ "containers": [{ "name": "c", "image": "registry.test/none:1" }] });
    apply(server, scratch, &pod);

    let kubeconfig = rights_of_the_hook(server, scratch).await;
    let mut hook = Command::new(product::programs().unwrap().join("penstock"));
    hook.args(["uninstall-leftovers", "--name=penstock", "--namespace", NAMESPACE]);
    let mut hook = hook.env("KUBECONFIG", kubeconfig).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(hook.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "waiting for 1 pods of the controller to end");
    assert_eq!(left(server).len(), 7, "{:?}", left(server));
    server.kubectl(&["delete", "pod", "penstock-controller-1", "--namespace", NAMESPACE, "--force"]).unwrap();

    let said: Vec<String> = said.map(Result::unwrap).collect();
    assert!(hook.wait().unwrap().success(), "{said:?}");
    assert_eq!(left(server), ["configmap/penstock-ca", "secret/penstock-key"], "{said:?}");
}
