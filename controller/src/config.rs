//! The controller's settings: flags, `PENSTOCK_*` variables, `<config>/penstock.yaml` and defaults, in this
//! order, checked once at the start. The only module that reads the environment. Reports every mistake at
//! once, never only the first, and never repeats a secret.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use penstock_controller_core::identity::Gateways;
use penstock_controller_core::site::PublicHosts;
use penstock_crds::Provider;
use penstock_proto::secret::Secret;

mod admission;
mod check;
mod parse;
mod source;

use parse::Raw;

/// Everything the controller was told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where objects come from and go to.
    pub source: Source,
    /// Folder of manifests.
    pub config: PathBuf,
    /// Where certificates, tokens and the private Postgres are kept.
    pub data: PathBuf,
    /// Management API, dashboard and metrics; port 0 = any free one.
    pub api_listen: SocketAddr,
    /// Names by which browsers reach the dashboard, besides addresses and localhost.
    pub public_hosts: PublicHosts,
    /// Where proxies connect.
    pub grpc_listen: SocketAddr,
    /// Names by which proxies reach the gRPC listener, besides its address and those of loopback.
    pub tls_names: Vec<String>,
    /// The webhook that puts sidecars into pods; `None` = there is none.
    pub admission: Option<Admission>,
    /// A database of yours; `None` = a private one in `data`.
    pub database: Option<Database>,
    /// For how many days each request is kept; at least 1.
    pub history_days: u32,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs are written: a level, or levels by module.
    pub log: String,
    /// The process that started this one and whose end ends it.
    pub parent: Option<u32>,
    /// API keys found in the environment, by the provider whose SDK reads them there.
    pub api_keys: Vec<(Provider, Secret)>,
}

/// A database of yours.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is. A secret, because it may hold a password.
    pub url: Secret,
    /// The authority to trust instead of the platform's, PEM.
    pub ca: Option<PathBuf>,
}

/// Where objects come from and go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The folder of manifests: stand-alone.
    Directory,
    /// A Kubernetes API: the cluster that this runs in, or the one of the kubeconfig.
    Kubernetes(InCluster),
}

/// What a controller must know of itself in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InCluster {
    /// The namespaces whose objects count; empty = all.
    pub namespaces: BTreeSet<String>,
    /// The namespace of the installation: of the Lease, the prices and the authority.
    pub own_namespace: String,
    /// Name of this pod: who it is among the replicas.
    pub pod: String,
    /// Prefix of the names of everything that belongs to the installation.
    pub name: String,
    /// ServiceAccounts whose proxies serve the callers of all namespaces.
    pub gateways: Gateways,
}

/// The webhook that puts sidecars into pods, and what it tells them. Only in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where the API server asks.
    pub listen: SocketAddr,
    /// The image of the sidecars.
    pub image: String,
    /// Where sidecars find the controllers: `https://host:port`.
    pub controller: String,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Every mistake found in the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidConfig(Vec<String>);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings have mistakes:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for InvalidConfig {}

impl Config {
    /// Reads the process's flags and environment; prints help and ends the process where asked to.
    pub fn from_process() -> Result<Self, InvalidConfig> {
        Raw::parse().check(parse::api_keys())
    }

    /// Reads flags as given, without the program's name. API keys of the environment are left out.
    pub fn from_flags<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidConfig> {
        match Raw::try_parse_from(std::iter::once("penstock-controller").chain(flags)) {
            Ok(raw) => raw.check(Vec::new()),
            Err(error) => Err(InvalidConfig(vec![error.to_string()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(file: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("penstock.yaml"), file).unwrap();
        dir
    }

    fn config(dir: &tempfile::TempDir, flags: &[&str]) -> Result<Config, InvalidConfig> {
        let dir = dir.path().to_str().unwrap();
        Config::from_flags(["--config", dir, "--data", dir].into_iter().chain(flags.iter().copied()))
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let dir = folder("apiListen: 127.0.0.1:1\ngrpcListen: 127.0.0.1:2\nhistoryDays: 7\n");
        let config = config(&dir, &["--api-listen", "127.0.0.1:9"]).unwrap();
        assert_eq!((config.api_listen.port(), config.grpc_listen.port()), (9, 2));
        assert_eq!((config.history_days, config.log.as_str()), (7, "info"));
    }

    #[test]
    fn what_belongs_to_the_proxy_may_stand_in_the_same_file() {
        let dir = folder("proxyListen: 127.0.0.1:1\nadminListen: 127.0.0.1:2\n");
        assert_eq!(config(&dir, &[]).unwrap().api_listen.port(), 8090);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let dir = folder("apiListn: 127.0.0.1:1\nhistoryDays: 0\n");
        let message =
            config(&dir, &["--grpc-listen", "nowhere", "--log-format", "xml"]).unwrap_err().to_string();
        for part in ["apiListn", "historyDays", "--grpc-listen", "--log-format"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn an_authority_belongs_to_a_database_of_yours_and_has_to_be_there() {
        let dir = folder("");
        let message = config(&dir, &["--database-ca", "/nowhere.pem"]).unwrap_err().to_string();
        assert!(message.contains("--database-url"), "{message}");
        let flags = ["--database-ca", "/nowhere.pem", "--database-url", "postgres://a@db/x"];
        let message = config(&dir, &flags).unwrap_err().to_string();
        assert!(message.contains("/nowhere.pem cannot be read"), "{message}");
    }

    #[test]
    fn in_a_cluster_it_must_know_its_namespace_and_its_pod() {
        let dir = folder("");
        let message = config(&dir, &["--source", "kubernetes"]).unwrap_err().to_string();
        assert!(message.contains("--own-namespace") && message.contains("--pod"), "{message}");
        let flags =
            ["--source", "kubernetes", "--own-namespace", "system", "--pod", "c-1", "--namespaces", "a, b"];
        let Source::Kubernetes(cluster) = config(&dir, &flags).unwrap().source else { panic!() };
        assert_eq!(cluster.namespaces, ["a".to_owned(), "b".to_owned()].into());
        assert_eq!((&*cluster.own_namespace, &*cluster.pod, &*cluster.name), ("system", "c-1", "penstock"));
    }

    #[test]
    fn a_webhook_must_know_what_it_tells_sidecars() {
        let dir = folder("");
        let flags = ["--admission-listen", "0.0.0.0:8443", "--proxy-controller-url", "http://c:8091"];
        let message = config(&dir, &flags).unwrap_err().to_string();
        assert!(message.contains("--proxy-image") && message.contains("https://host:port"), "{message}");
        let flags = ["--proxy-controller-url", "https://c:8091", "--proxy-image", "proxy:1"];
        assert_eq!(config(&dir, &flags).unwrap().admission, None);
        let flags = [&flags[..], &["--admission-listen", "[::]:8443"]].concat();
        assert_eq!(config(&dir, &flags).unwrap().admission.unwrap().listen.port(), 8443);
    }

    #[test]
    fn a_database_url_is_not_repeated() {
        let dir = folder("databaseUrl: mysql://a:hunter2@db/x\n");
        let message = config(&dir, &[]).unwrap_err().to_string();
        assert!(message.contains("databaseUrl") && !message.contains("hunter2"), "{message}");
        let dir = folder("databaseUrl: postgres://a:hunter2@db/x?sslmode=strict\n");
        let message = config(&dir, &["--database-ca", "/nowhere.pem"]).unwrap_err().to_string();
        assert!(message.contains("verify-full") && !message.contains("hunter2"), "{message}");
        let dir = folder("databaseUrl: postgres://a:hunter2@db/x\n");
        assert!(!format!("{:?}", config(&dir, &[]).unwrap()).contains("hunter2"));
    }
}
