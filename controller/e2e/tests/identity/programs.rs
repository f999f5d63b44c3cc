//! The programs themselves, beside a real API server: a controller, a sidecar, a gateway, and a provider.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use http::{Method, Request};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use penstock_crds::ProviderAccount;
use penstock_e2e::api_server::Token;
use penstock_e2e::namespace::create;
use penstock_e2e::process::Process;
use penstock_e2e::product::programs;
use penstock_e2e::scratch::Scratch;
use penstock_e2e::wait::{PATIENCE, await_condition};
use penstock_e2e::web::{call, send};
use penstock_e2e::{ApiServer, until};
use serde_json::{Value, json};

const ASK: &str =
    r#"{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}"#;

/// A program, and the line in which it says where it listens.
struct Running {
    program: Process,
    log: PathBuf,
}

impl Running {
    fn start(name: &str, scratch: &Scratch, flags: &[&str], environment: &[(&str, String)]) -> Self {
        let mut command = Command::new(programs().unwrap().join(name));
        command.args(flags).envs(environment.iter().map(|(name, value)| (*name, value)));
        let log = scratch.join(&format!("{name}-{}.log", flags.len()));
        Self { program: Process::start(&command, &log).unwrap(), log }
    }

    /// What it said on standard output once it listened.
    async fn said(&mut self) -> Value {
        let log = self.log.clone();
        let look = async || {
            self.program.check()?;
            let text = std::fs::read_to_string(&log)?;
            let line = text.lines().find(|line| line.starts_with('{')).context("it has not said so yet")?;
            Ok(serde_json::from_str(line)?)
        };
        until("the program listens", look).await.unwrap()
    }
}

async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    send(Request::get(format!("http://{address}{path}")).body(String::new())?).await
}

async fn ready(address: &str) {
    let look = async || {
        let (status, body) = get(address, "/readyz").await?;
        ensure!(status == 200, "{body}");
        Ok(())
    };
    until("the program is ready", look).await.unwrap();
}

fn text<'a>(said: &'a Value, key: &str) -> &'a str {
    said[key].as_str().unwrap()
}

/// An account of a provider in this namespace, open to no other.
async fn account(client: &Client, namespace: &str, provider: &str) {
    let secret = json!({"metadata": {"name": "key"}, "stringData": {"apiKey": "sk-ant-of-the-pool"}});
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let account = json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": "a"},
        "spec": {
            "provider": "anthropic", "baseUrl": format!("http://{provider}/anthropic"),
            "credentials": {"secretRef": {"name": "key"}},
        },
    });
    let accounts: Api<ProviderAccount> = Api::namespaced(client.clone(), namespace);
    accounts.create(&PostParams::default(), &serde_json::from_value(account).unwrap()).await.unwrap();
}

/// A proxy of the installation, as this ServiceAccount.
async fn proxy(
    server: &ApiServer,
    scratch: &Scratch,
    controller: &str,
    flags: &[&str],
    namespace: &str,
    service_account: &str,
) -> Running {
    let pod = flags.contains(&"sidecar").then_some("web-1");
    let wanted = Token { namespace, service_account, audience: "penstock", pod };
    let token = server.token(wanted).await.unwrap();
    let token = scratch.write(&format!("token-{service_account}"), &token).unwrap();
    let common = [
        ("PENSTOCK_CONTROLLER", format!("https://localhost:{}", controller.rsplit_once(':').unwrap().1)),
        ("PENSTOCK_CONTROLLER_CA", scratch.join("ca.crt").display().to_string()),
        ("PENSTOCK_TOKEN_FILE", token.display().to_string()),
        ("PENSTOCK_LISTEN", "127.0.0.1:0".to_owned()),
        ("PENSTOCK_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("PENSTOCK_NAMESPACE", namespace.to_owned()),
        ("PENSTOCK_SERVICE_ACCOUNT", service_account.to_owned()),
    ];
    Running::start("penstock-proxy", scratch, flags, &common)
}

#[tokio::test]
async fn a_sidecar_and_a_gateway_serve_a_pod_as_what_it_proves_to_be() {
    let server = ApiServer::shared().await;
    server.apply_crds().await.unwrap();
    let (client, scratch) = (server.client(), Scratch::new("programs").unwrap());
    let (own, tenant, poor) =
        (create(&client).await.unwrap(), create(&client).await.unwrap(), create(&client).await.unwrap());
    let mut provider = Running::start("penstock-simulator", &scratch, &[], &[]);
    super::pod(&client, &tenant, "web-1").await;

    // A proxy whose controller is not there, and whose authority nobody has told, waits and says so.
    let data = scratch.join("data");
    let gateways = format!("{own}/gateway");
    let flags = [
        "--source",
        "kubernetes",
        "--own-namespace",
        &own,
        "--pod",
        "controller-1",
        "--gateway-accounts",
        &gateways,
        "--data",
        data.to_str().unwrap(),
        "--api-listen",
        "127.0.0.1:0",
        "--grpc-listen",
        "127.0.0.1:0",
    ];
    let kubeconfig = [("KUBECONFIG", server.kubeconfig().display().to_string())];
    let mut controller = Running::start("penstock-controller", &scratch, &flags, &kubeconfig);
    let at = controller.said().await;
    ready(text(&at, "api")).await;
    let grpc = text(&at, "grpc");
    let flags = ["--role", "sidecar", "--pod", "web-1"];
    let mut sidecar = proxy(server, &scratch, grpc, &flags, &tenant, "app").await;
    let mut gateway = proxy(server, &scratch, grpc, &["--role", "gateway"], &own, "gateway").await;
    let (sidecar, gateway) = (sidecar.said().await, gateway.said().await);
    let waits = async || {
        let (status, body) = get(text(&sidecar, "admin"), "/readyz").await?;
        ensure!(status == 503 && body.contains("ca.crt"), "{status} {body}");
        Ok(())
    };
    until("the sidecar says what it waits for", waits).await.unwrap();

    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &tenant);
    let told = await_condition(&maps, "penstock-ca", |map| map.is_some(), PATIENCE).await.unwrap().unwrap();
    scratch.write("ca.crt", &told.data.unwrap()["ca.crt"]).unwrap();
    ready(text(&sidecar, "admin")).await;
    ready(text(&gateway, "admin")).await;

    account(&client, &tenant, text(&provider.said().await, "listen")).await;
    let ask = async |proxy: &Value, key: Option<&str>| {
        let url = format!("http://{}/v1/messages", text(proxy, "listen"));
        let request = Request::post(url).header("anthropic-version", "2023-06-01");
        let mut request = request.header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        send(request.body(ASK.to_owned())?).await
    };
    let token = async |namespace: &str, audience: &str, pod| {
        let wanted = Token { namespace, service_account: "app", audience, pod };
        server.token(wanted).await.unwrap()
    };
    let mine = token(&tenant, "penstock", Some("web-1")).await;
    for (proxy, key) in [(&sidecar, None), (&gateway, Some(mine.as_str()))] {
        let served = async || {
            let (status, body) = ask(proxy, key).await?;
            ensure!(status == 200, "{status} {body}");
            Ok(())
        };
        until("the pod is served", served).await.unwrap();
    }
    let refused = [
        (None, 401, "audience"),
        (Some(token(&tenant, "", None).await), 401, "not for this service"),
        (Some(token(&poor, "penstock", None).await), 403, "may use no account"),
    ];
    for (key, status, why) in refused {
        let (answered, body) = ask(&gateway, key.as_deref()).await.unwrap();
        assert!(answered == status && body.contains(why), "{status} {why}: {answered} {body}");
    }

    let secrets: Api<Secret> = Api::namespaced(client.clone(), &own);
    let token = secrets.get("penstock-admin-token").await.unwrap().data.unwrap()["token"].0.clone();
    let admin = String::from_utf8(token).unwrap();
    let url = format!("http://{}/api/requests", text(&at, "api"));
    let callers = async || {
        let rows = call(Method::GET, &url, Some(&admin), None).await?["requests"].take();
        let served = rows.as_array().context("no rows")?.iter().filter(|row| row["status"] == 200);
        let callers: Vec<Value> = served.map(|row| row["caller"].clone()).collect();
        ensure!(callers.len() >= 2, "{rows}");
        Ok(callers)
    };
    let callers = until("the history has both requests", callers).await.unwrap();
    let caller = json!({ "namespace": tenant, "pod": "web-1", "serviceAccount": "app", "key": "" });
    assert!(callers.iter().all(|served| *served == caller), "{callers:?}");
}
