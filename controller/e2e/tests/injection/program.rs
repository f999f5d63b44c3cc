//! The controller as a program: it serves the webhook, and makes it trusted, by its settings alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use penstock_e2e::namespace::create;
use penstock_e2e::process::{Process, free_port};
use penstock_e2e::product::programs;
use penstock_e2e::scratch::Scratch;
use penstock_e2e::{ApiServer, until, with_temp_ns};
use serde_json::{Value, json};

fn configuration(name: &str, listen: &str, namespace: &str) -> Value {
    json!({ "metadata": { "name": name }, "webhooks": [{
        "name": "pod.inject.penstock.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": { "url": format!("https://{listen}/inject") },
        "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
    }] })
}

fn controller(kubeconfig: &Path, data: &Path, own: &str, listen: &str) -> Command {
    let mut command = Command::new(programs().unwrap().join("penstock-controller"));
    command.env("KUBECONFIG", kubeconfig).arg("--data").arg(data);
    command.args(["--source", "kubernetes", "--pod", "c-1", "--own-namespace", own, "--name", own]);
    command.args([
        "--api-listen",
        "127.0.0.1:0",
        "--grpc-listen",
        "127.0.0.1:0",
        "--admission-listen",
        listen,
    ]);
    command.args(["--proxy-image", "proxy:7", "--proxy-controller-url", "https://c:8091"]);
    command
}

#[tokio::test]
async fn a_controller_with_an_address_for_it_serves_the_webhook_and_makes_it_trusted() {
    let server = ApiServer::shared().await;
    server.apply_crds().await.unwrap();
    let client = server.client();
    let own = create(&client).await.unwrap();
    with_temp_ns(&client, async |namespace: &str| {
        let (scratch, listen) =
            (Scratch::new("webhook").unwrap(), format!("127.0.0.1:{}", free_port().unwrap()));
        let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let configuration = serde_json::from_value(configuration(&own, &listen, namespace)).unwrap();
        webhooks.create(&PostParams::default(), &configuration).await.unwrap();
        let command = controller(server.kubeconfig(), &scratch.join("data"), &own, &listen);
        let mut controller = Process::start(&command, &scratch.join("controller.log")).unwrap();

        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pod: Pod = serde_json::from_value(super::pod("app", &json!({}))).unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let created = until("a pod gets a sidecar", async || {
            controller.check()?;
            let created = serde_json::to_value(pods.create(&dry, &pod).await?)?;
            ensure!(!created["spec"]["initContainers"].is_null(), "{created}");
            Ok(created)
        });
        let created = created.await.context("see the log of the controller").unwrap();
        let sidecar = &created["spec"]["initContainers"][0];
        assert_eq!((&sidecar["name"], &sidecar["image"]), (&json!("penstock-proxy"), &json!("proxy:7")));
        let env = sidecar["env"].as_array().unwrap();
        assert!(
            env.contains(&json!({ "name": "PENSTOCK_CONTROLLER", "value": "https://c:8091" })),
            "{sidecar}"
        );
        assert_eq!(created["spec"]["volumes"][1]["configMap"]["name"], format!("{own}-ca"));
        webhooks.delete(&own, &DeleteParams::default()).await.unwrap();
    })
    .await;
}
