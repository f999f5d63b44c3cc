//! An API server without nodes: etcd and kube-apiserver on free loopback ports. No root needed, ready in seconds.
//! No controller runs beside it: nothing starts pods, collects garbage or finishes the deletion of a namespace.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use tokio::sync::OnceCell;

use crate::namespace::ensure_service_account;
use crate::parts;
use crate::pki::{Authority, SigningKey};
use crate::process::{Process, free_port};
use crate::scratch::Scratch;
use crate::tools::Tools;
use crate::wait::{PATIENCE, await_condition, until};

/// Of a token of a ServiceAccount, in seconds.
const TOKEN_SECONDS: i64 = 3600;

/// A running API server; ends and leaves nothing behind when dropped, or when the test's process ends in any way.
#[derive(Debug)]
pub struct ApiServer {
    // In the order in which they must go.
    api: Option<Process>,
    etcd: Process,
    scratch: Scratch,
    ports: Ports,
    config: Config,
    tools: Tools,
}

/// A token to ask for.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// Namespace of the ServiceAccount, and of the pod.
    pub namespace: &'a str,
    /// The ServiceAccount, which is created if it is not there.
    pub service_account: &'a str,
    /// Whom the token is for; the API server itself if empty.
    pub audience: &'a str,
    /// The pod that the token is bound to, as a projected token is; it must exist.
    pub pod: Option<&'a str>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    api: u16,
    etcd: u16,
    peers: u16,
}

impl ApiServer {
    /// Starts one and waits until it is ready.
    pub async fn start() -> Result<Self> {
        let ports = Ports { api: free_port()?, etcd: free_port()?, peers: free_port()? };
        let scratch = Scratch::new("api")?;
        let kubeconfig = write_pki(&scratch, ports)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let etcd = Process::start(&etcd_command(&scratch, ports)?, &scratch.join("etcd.log"))?;
        let tools = Tools::new(&scratch.join("kubeconfig"), scratch.path());
        let mut server = Self { api: None, etcd, scratch, ports, config, tools };
        server.restart().await?;
        Ok(server)
    }

    /// The one that all tests of a test program share. It ends with the program.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        SHARED.get_or_init(async || Self::start().await.expect("an API server for the tests")).await
    }

    /// A client that may do everything. Belongs to the calling test's runtime.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("the configuration was used before")
    }

    /// How to connect as one who may do everything.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The file with the same.
    pub fn kubeconfig(&self) -> &Path {
        self.tools.kubeconfig()
    }

    /// A client with only the rights of a ServiceAccount, which is created if it is not there.
    pub async fn client_as(&self, namespace: &str, service_account: &str) -> Result<Client> {
        Ok(Client::try_from(self.config_as(namespace, service_account).await?)?)
    }

    /// How to connect as a ServiceAccount.
    pub async fn config_as(&self, namespace: &str, service_account: &str) -> Result<Config> {
        let token = self.token(Token { namespace, service_account, audience: "", pod: None }).await?;
        let mut config = self.config.clone();
        config.auth_info = kube::config::AuthInfo { token: Some(token.into()), ..Default::default() };
        Ok(config)
    }

    /// A token of a ServiceAccount, as the kubelet would get it for a pod.
    pub async fn token(&self, wanted: Token<'_>) -> Result<String> {
        let Token { namespace, service_account, audience, pod } = wanted;
        let client = self.client();
        ensure_service_account(&client, namespace, service_account).await?;
        let audiences = if audience.is_empty() { vec![] } else { vec![audience.to_owned()] };
        let bound_object_ref = match pod {
            None => None,
            Some(name) => {
                let pod = Api::<Pod>::namespaced(client.clone(), namespace).get(name).await?;
                Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    uid: pod.uid(),
                    name: Some(name.to_owned()),
                })
            }
        };
        let spec = TokenRequestSpec { audiences, bound_object_ref, expiration_seconds: Some(TOKEN_SECONDS) };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
        let answer = accounts.create_token_request(service_account, &PostParams::default(), &request).await?;
        Ok(answer.status.context("a token request without an answer")?.token)
    }

    /// Applies the definitions of our kinds and waits until they are served.
    pub async fn apply_crds(&self) -> Result<()> {
        apply_crds(&self.client()).await
    }

    /// `kubectl` and `helm`.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What `kubectl` prints; an error shows what it complained about. Blocks: where something else of the test must go
    /// on meanwhile, use [`Self::tools`].
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let done = self.kubectl_command(arguments)?.output().context("kubectl could not be started")?;
        let complained = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "kubectl {}: {complained}", arguments.join(" "));
        Ok(String::from_utf8(done.stdout)?)
    }

    /// The same, not yet run.
    pub fn kubectl_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.tools.command("kubectl")?.into_std();
        command.args(arguments);
        Ok(command)
    }

    /// Ends the server; etcd keeps what it stored. Connections are refused until [`Self::restart`].
    pub fn stop(&mut self) {
        self.api = None;
    }

    /// Starts the server again where it was, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop();
        let command = api_command(&self.scratch, self.ports)?;
        let mut api = Process::start(&command, &self.scratch.join("api.log"))?;
        let ready = self.ready(&mut api).await;
        self.api = Some(api);
        ready
    }

    /// Holds the server still: connections stay open or are accepted, and nothing is answered until [`Self::thaw`].
    pub fn freeze(&self) -> Result<()> {
        self.api.as_ref().context("the API server is stopped")?.freeze()
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.api.as_ref().context("the API server is stopped")?.thaw()
    }

    /// Where its logs and data are, as long as it lives.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    async fn ready(&mut self, api: &mut Process) -> Result<()> {
        let client = self.client();
        let looks = until("the API server's /readyz", async || {
            let request = http::Request::get("/readyz").body(vec![])?;
            // Not `?` on a program that ended: that would look again.
            let ended = api.check().and_then(|()| self.etcd.check());
            match ended {
                Ok(()) => client.request_text(request).await.map(|_| Ok(())).map_err(Into::into),
                Err(ended) => Ok(Err(ended)),
            }
        });
        looks.await?
    }
}

/// Applies the definitions of our kinds and waits until they are served.
pub async fn apply_crds(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let applied = penstock_crds::definitions();
    for definition in &applied {
        let how = PatchParams::apply("penstock-e2e").force();
        definitions.patch(&definition.name_any(), &how, &Patch::Apply(definition)).await?;
    }
    for definition in &applied {
        await_condition(&definitions, &definition.name_any(), |seen| seen.is_some_and(is_served), PATIENCE)
            .await?;
    }
    Ok(())
}

fn is_served(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// Writes every certificate and key, and the administrator's kubeconfig.
fn write_pki(scratch: &Scratch, ports: Ports) -> Result<Kubeconfig> {
    let authority = Authority::new("penstock-test")?;
    let server = authority.issue("kube-apiserver", None, &["127.0.0.1", "localhost", "10.0.0.1"])?;
    let admin = authority.issue("admin", Some("system:masters"), &[])?;
    let signing = SigningKey::new()?;
    let kubeconfig = authority.kubeconfig(&format!("https://127.0.0.1:{}", ports.api), &admin)?;
    scratch.write("ca.crt", authority.certificate())?;
    scratch.write("server.crt", &server.certificate)?;
    scratch.write("server.key", &server.key)?;
    scratch.write("sa.key", &signing.private)?;
    scratch.write("sa.pub", &signing.public)?;
    scratch.write("kubeconfig", &serde_json::to_string(&kubeconfig)?)?;
    Ok(kubeconfig)
}

fn etcd_command(scratch: &Scratch, ports: Ports) -> Result<Command> {
    let clients = format!("http://127.0.0.1:{}", ports.etcd);
    let peers = format!("http://127.0.0.1:{}", ports.peers);
    let mut command = Command::new(parts::program("etcd")?);
    command.arg("--data-dir").arg(scratch.join("etcd"));
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args([
        "--initial-cluster",
        &format!("default={peers}"),
        "--unsafe-no-fsync",
        "--log-level",
        "warn",
    ]);
    Ok(command)
}

fn api_command(scratch: &Scratch, ports: Ports) -> Result<Command> {
    let file = |name: &str| scratch.join(name).display().to_string();
    let mut command = Command::new(parts::program("kube-apiserver")?);
    command.args([
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        format!("--secure-port={}", ports.api),
        "--bind-address=127.0.0.1".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        format!("--cert-dir={}", file("certs")),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        format!("--service-account-key-file={}", file("sa.pub")),
        // It would refuse pods until a controller manager has published the root certificate.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--profiling=false".to_owned(),
    ]);
    Ok(command)
}
