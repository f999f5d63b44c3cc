//! Applications with the real SDKs run as careful clusters demand: not as root, nothing written, no rights.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use penstock_e2e::parts::{Part, app_image};
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{Cluster, await_condition, with_cluster};
use serde_json::json;

const PYTHON: &str = "import anthropic, openai; print(bool(anthropic.__version__ and openai.__version__))";
const NODE: &str = "const { Anthropic } = require('@anthropic-ai/sdk'), { OpenAI } = require('openai'); \
                    console.log(Boolean(Anthropic && OpenAI))";

async fn prints(cluster: &Cluster, namespace: &str, part: Part, command: &[&str]) -> String {
    let (image, archive) = app_image(part).unwrap();
    cluster.load_image(&archive).await.unwrap();
    let security = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let pod = json!({
        "metadata": { "name": "app" },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "app", "image": image, "command": command, "securityContext": security }],
        },
    });
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let ended = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    await_condition(&pods, "app", |pod| pod.is_some_and(ended), PATIENCE).await.unwrap();
    cluster.logs(namespace, "app", "app").await.unwrap()
}

#[tokio::test]
async fn python_runs_with_the_sdks() {
    with_cluster(async |cluster: &'static Cluster, namespace: &str| {
        assert_eq!(prints(cluster, namespace, Part::AppPython, &["python3", "-c", PYTHON]).await, "True\n");
    })
    .await;
}

#[tokio::test]
async fn node_runs_with_the_sdks() {
    with_cluster(async |cluster: &'static Cluster, namespace: &str| {
        assert_eq!(prints(cluster, namespace, Part::AppNode, &["node", "-e", NODE]).await, "true\n");
    })
    .await;
}
