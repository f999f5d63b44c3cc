//! A real API server asks our webhook about real pods, and takes what it answers.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod program;
mod webhook;

use std::process::Stdio;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{Patch, PatchParams};
use penstock_e2e::await_condition;
use penstock_e2e::wait::PATIENCE;
use serde_json::{Value, json};
use tokio::process::Command;

use webhook::with_webhook;

fn labelled() -> Value {
    json!({ "penstock.dev/inject": "true" })
}

/// A pod of one container that may run anywhere, with what `more` says of its spec.
fn pod(name: &str, more: &Value) -> Value {
    let security = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            // A whole cluster sets the account before it asks webhooks.
            "serviceAccountName": "default",
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "app", "image": "registry.test/app:1", "securityContext": security }],
        },
    });
    pod["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pod
}

fn annotated(mut pod: Value, name: &str, value: &str) -> Value {
    pod["metadata"]["annotations"] = json!({ name: value });
    pod
}

fn opted(mut pod: Value, value: &str) -> Value {
    pod["metadata"]["labels"] = json!({ "penstock.dev/inject": value });
    pod
}

fn names(containers: &Value) -> Vec<&str> {
    containers.as_array().into_iter().flatten().map(|container| container["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_pod_in_a_labelled_namespace_starts_with_a_native_sidecar() {
    with_webhook(labelled(), async |ground| {
        let own = json!({
            "initContainers": [{ "name": "migrate", "image": "registry.test/app:1" }],
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
        });
        let created = ground.create(&pod("app", &own)).await.unwrap();
        let spec = &created["spec"];
        assert_eq!(names(&spec["initContainers"]), ["penstock-proxy", "migrate"]);
        // An API server that does not know a field drops it.
        let sidecar = &spec["initContainers"][0];
        assert_eq!(sidecar["restartPolicy"], "Always");
        assert_eq!(sidecar["startupProbe"]["httpGet"]["path"], "/readyz");
        assert_eq!(sidecar["livenessProbe"]["httpGet"]["port"], 9901);
        assert_eq!(sidecar["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let token = &spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
        assert_eq!((&token["audience"], &token["expirationSeconds"]), (&json!("penstock"), &json!(3600)));
        assert_eq!(spec["volumes"][1]["configMap"]["optional"], true);
        for container in [&spec["initContainers"][1], &spec["containers"][0]] {
            let env: Vec<_> = container["env"].as_array().unwrap().iter().map(|env| &env["name"]).collect();
            assert_eq!(env, ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"]);
        }
        assert_eq!(created["metadata"]["annotations"]["penstock.dev/injected"], "1.2.3");
    })
    .await;
}

#[tokio::test]
async fn an_injected_pod_that_is_created_again_stays_as_it_is() {
    with_webhook(labelled(), async |ground| {
        let first = ground.create(&pod("one", &json!({}))).await.unwrap();
        let mut copy = pod("two", &json!({}));
        copy["spec"] = first["spec"].clone();
        let second = ground.create(&copy).await.unwrap();
        assert_eq!(second["spec"], first["spec"]);
    })
    .await;
}

#[tokio::test]
async fn the_label_of_a_pod_wins_over_that_of_its_namespace() {
    with_webhook(labelled(), async |ground| {
        let created = ground.create(&opted(pod("out", &json!({})), "false")).await.unwrap();
        assert_eq!(created["spec"].get("initContainers"), None);
        let message = ground.refusal(&opted(pod("odd", &json!({})), "yes")).await;
        assert!(message.contains("\"yes\" is not \"true\" or \"false\""), "{message}");
    })
    .await;
    with_webhook(json!({}), async |ground| {
        let created = ground.create(&pod("plain", &json!({}))).await.unwrap();
        assert_eq!(created["spec"].get("initContainers"), None);
        let created = ground.create(&opted(pod("in", &json!({})), "true")).await.unwrap();
        assert_eq!(names(&created["spec"]["initContainers"]), ["penstock-proxy"]);
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_cannot_have_a_sidecar_is_refused_with_what_to_do() {
    with_webhook(labelled(), async |ground| {
        let message = ground.refusal(&pod("host", &json!({ "hostNetwork": true }))).await;
        for part in ["namespace.inject.penstock.dev", "hostNetwork: true", "http://penstock.penstock-system"]
        {
            assert!(message.contains(part), "{part} in {message}");
        }
        let wrong = annotated(pod("wrong", &json!({})), "penstock.dev/proxy-memory-limit", "64m");
        let message = ground.refusal(&wrong).await;
        assert!(message.contains("64m is less than the proxy needs (16Mi)"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn pod_security_restricted_admits_an_injected_pod() {
    let labels = json!({
        "penstock.dev/inject": "true",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    });
    with_webhook(labels, async |ground| {
        let created = ground.create(&pod("app", &json!({}))).await.unwrap();
        assert_eq!(names(&created["spec"]["initContainers"]), ["penstock-proxy"]);
    })
    .await;
}

#[tokio::test]
async fn kubectl_shows_what_a_dry_run_would_get_and_our_warnings() {
    with_webhook(labelled(), async |ground| {
        let odd = annotated(pod("app", &json!({})), "penstock.dev/proxy-imgae", "x").to_string();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), odd).unwrap();
        let file = file.path().to_str().unwrap();
        let namespace = ground.namespace.as_str();
        let arguments = ["create", "-n", namespace, "-f", file, "--dry-run=server", "-o", "json"];
        let command = ground.server.kubectl_command(&arguments).unwrap();
        let done = Command::from(command).stdin(Stdio::null()).output().await.unwrap();
        let wrote = String::from_utf8_lossy(&done.stderr);
        assert!(wrote.contains("Warning: there is no annotation penstock.dev/proxy-imgae: is it"), "{wrote}");
        let shown: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(names(&shown["spec"]["initContainers"]), ["penstock-proxy"]);
    })
    .await;
}

#[tokio::test]
async fn a_bundle_that_somebody_took_out_comes_back() {
    with_webhook(labelled(), async |ground| {
        let api: Api<MutatingWebhookConfiguration> = Api::all(ground.server.client());
        let bundles = |configuration: &MutatingWebhookConfiguration| -> Vec<_> {
            let webhooks = configuration.webhooks.iter().flatten();
            webhooks.map(|webhook| webhook.client_config.ca_bundle.clone()).collect()
        };
        let before = bundles(&api.get(&ground.webhook).await.unwrap());
        assert!(before.iter().all(Option::is_some), "{before:?}");
        let patch = json!([{ "op": "remove", "path": "/webhooks/0/clientConfig/caBundle" }]);
        let patch = Patch::<Value>::Json(serde_json::from_value(patch).unwrap());
        api.patch(&ground.webhook, &PatchParams::default(), &patch).await.unwrap();
        let is_back =
            |seen: Option<&MutatingWebhookConfiguration>| seen.is_some_and(|seen| bundles(seen) == before);
        await_condition(&api, &ground.webhook, is_back, PATIENCE).await.unwrap();
    })
    .await;
}
