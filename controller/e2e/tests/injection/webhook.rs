//! A webhook of the test's own, for one namespace, and the configuration that makes a real API server ask it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use penstock_controller::admission::{self, Admission, bundle};
use penstock_controller::certificates::Certificates;
use penstock_controller::metrics::AdmissionMetrics;
use penstock_controller_core::inject::{Resources, Settings};
use penstock_e2e::{ApiServer, until, with_temp_ns};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a test has.
pub(crate) struct Ground {
    pub(crate) server: &'static ApiServer,
    pub(crate) namespace: String,
    /// Of the webhook configuration.
    pub(crate) webhook: String,
}

/// Runs `test` in a namespace with these labels, whose pods the webhook is asked about as the chart says.
pub(crate) async fn with_webhook(labels: Value, test: impl AsyncFnOnce(&Ground)) {
    let server = ApiServer::shared().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        let ground =
            Ground { server, namespace: namespace.to_owned(), webhook: format!("inject-{namespace}") };
        let _tasks = ground.serve(labels).await.unwrap();
        test(&ground).await;
        let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        api.delete(&ground.webhook, &DeleteParams::default()).await.unwrap();
    })
    .await;
}

impl Ground {
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.server.client(), &self.namespace)
    }

    /// Creates a pod and returns it as the API server has it.
    pub(crate) async fn create(&self, pod: &Value) -> kube::Result<Value> {
        let pod = serde_json::from_value(pod.clone()).unwrap();
        let created = self.pods().create(&PostParams::default(), &pod).await?;
        Ok(serde_json::to_value(created).unwrap())
    }

    /// Why the API server does not create a pod.
    pub(crate) async fn refusal(&self, pod: &Value) -> String {
        match self.create(pod).await {
            Err(kube::Error::Api(status)) => status.message,
            other => panic!("{other:?}"),
        }
    }

    async fn serve(&self, labels: Value) -> anyhow::Result<JoinSet<()>> {
        let client = self.server.client();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("https://{}{}", listener.local_addr()?, admission::PATH);
        let folder = tempfile::tempdir()?;
        let certificates = Certificates::open(folder.path(), &[], Timestamp::now())?;
        let tls = certificates.server_config()?;
        let pem = std::fs::read_to_string(folder.path().join("ca.pem"))?;

        let mut tasks = JoinSet::new();
        let admission = Admission::new(settings(&client).await, AdmissionMetrics::default());
        tasks.spawn(async move {
            admission.serve(listener, &tls, CancellationToken::new()).await.expect("the webhook serves");
        });
        self.configure(&client, &url, labels).await?;
        let (keeper, authority) = watch::channel(Arc::from(pem));
        let keeping = bundle::keep(client, self.webhook.clone(), authority);
        tasks.spawn(async move {
            let _keeper = keeper;
            keeping.await;
        });
        self.is_asked().await?;
        Ok(tasks)
    }

    /// Labels the namespace and creates the configuration, without a bundle.
    async fn configure(&self, client: &Client, url: &str, labels: Value) -> anyhow::Result<()> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
        namespaces.patch(&self.namespace, &PatchParams::default(), &patch).await?;
        let only =
            json!({ "key": "kubernetes.io/metadata.name", "operator": "In", "values": [self.namespace] });
        let webhook = |what: &str, namespaces: &str, pods: Value| {
            json!({
                "name": format!("{what}.inject.penstock.dev"),
                "admissionReviewVersions": ["v1"],
                "clientConfig": { "url": url },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
                "sideEffects": "None",
                "reinvocationPolicy": "IfNeeded",
                // Not as in the chart: a test must see when it fails.
                "failurePolicy": "Fail",
                "namespaceSelector": { "matchExpressions":
                    [only, { "key": "penstock.dev/inject", "operator": namespaces, "values": ["true"] }] },
                "objectSelector": { "matchExpressions": [pods] },
            })
        };
        let label = |operator: &str, value: &str| json!({ "key": "penstock.dev/inject", "operator": operator, "values": [value] });
        let configuration = json!({
            "metadata": { "name": self.webhook },
            "webhooks": [
                webhook("namespace", "In", label("NotIn", "false")),
                webhook("pod", "NotIn", label("In", "true")),
            ],
        });
        let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(configuration)?).await?;
        Ok(())
    }

    /// Waits until the API server knows the configuration and trusts the webhook.
    async fn is_asked(&self) -> anyhow::Result<()> {
        let mut pod = super::pod("probe", &json!({}));
        pod["metadata"]["labels"] = json!({ "penstock.dev/inject": "true" });
        let pod: Pod = serde_json::from_value(pod)?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        until("the webhook being asked", async || {
            let created = self.pods().create(&dry, &pod).await?;
            let injected = created.metadata.annotations.context("no annotation")?;
            ensure!(injected.contains_key("penstock.dev/injected"), "not injected: {injected:?}");
            Ok(())
        })
        .await
    }
}

async fn settings(client: &Client) -> Settings {
    Settings {
        version: "1.2.3".into(),
        image: "registry.test/proxy:1".into(),
        controller: "https://penstock-controller.penstock-system.svc:8091".into(),
        name: "penstock".into(),
        own_namespace: Some("penstock-system".into()),
        native: admission::native_sidecars(client).await,
        admin_address: Ipv4Addr::UNSPECIFIED.into(),
        resources: Resources::default(),
    }
}
