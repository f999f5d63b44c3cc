//! From raw text to checked settings, collecting every mistake.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use penstock_controller_core::site::PublicHosts;
use penstock_crds::Provider;
use penstock_proto::secret::Secret;

use super::admission::RawAdmission;
use super::check::Check;
use super::source::RawSource;
use super::{Config, InvalidConfig, LogFormat};

/// Management API and dashboard.
const DEFAULT_API_LISTEN: &str = "127.0.0.1:8090";
/// Where proxies connect.
const DEFAULT_GRPC_LISTEN: &str = "127.0.0.1:8091";
/// The folder of manifests.
const DEFAULT_CONFIG: &str = "penstock.d";
/// A quarter: long enough to compare months, and at a million requests a day some 60 GB.
const DEFAULT_HISTORY_DAYS: &str = "90";
const DEFAULT_LOG: &str = "info";
const DEFAULT_LOG_FORMAT: &str = "text";

/// The control plane of Penstock.
///
/// Every flag is also a variable, and a key of `<config>/penstock.yaml` (camelCase). A flag beats a
/// variable, a variable beats the file.
#[derive(Parser)]
#[command(name = "penstock-controller", version)]
pub(super) struct Raw {
    #[command(flatten)]
    source: RawSource,
    #[command(flatten)]
    admission: RawAdmission,
    /// Folder of manifests (*.yaml), watched; also holds penstock.yaml [default: ./penstock.d]
    #[arg(long, value_name = "DIR", env = "PENSTOCK_CONFIG")]
    config: Option<PathBuf>,
    /// Where history, certificates and tokens are kept [default: ~/.local/share/penstock]
    #[arg(long, value_name = "DIR", env = "PENSTOCK_DATA")]
    data: Option<PathBuf>,
    /// Management API, dashboard and metrics [default: 127.0.0.1:8090]
    #[arg(long, value_name = "HOST:PORT", env = "PENSTOCK_API_LISTEN")]
    api_listen: Option<String>,
    /// Names by which browsers reach the dashboard, behind an Ingress for example; separated by commas
    #[arg(long, value_name = "NAMES", env = "PENSTOCK_PUBLIC_HOSTS")]
    public_hosts: Option<String>,
    /// Where proxies connect [default: 127.0.0.1:8091]
    #[arg(long, value_name = "HOST:PORT", env = "PENSTOCK_GRPC_LISTEN")]
    grpc_listen: Option<String>,
    /// Names by which proxies reach this controller, for its certificate; separated by commas
    #[arg(long, value_name = "NAMES", env = "PENSTOCK_TLS_NAMES")]
    tls_names: Option<String>,
    /// Your own Postgres instead of a private one in the data folder
    #[arg(long, value_name = "URL", env = "PENSTOCK_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The authority that your Postgres' certificate is of (PEM) [default: what the platform trusts]
    #[arg(long, value_name = "FILE", env = "PENSTOCK_DATABASE_CA")]
    database_ca: Option<PathBuf>,
    /// For how many days each request is kept [default: 90]
    #[arg(long, value_name = "DAYS", env = "PENSTOCK_HISTORY_DAYS")]
    history_days: Option<String>,
    /// `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT", env = "PENSTOCK_LOG_FORMAT")]
    log_format: Option<String>,
    /// A level, or levels by module: `info,penstock_controller=debug` [default: info]
    #[arg(long, value_name = "LEVELS", env = "PENSTOCK_LOG")]
    log: Option<String>,
    /// The process whose end ends this one
    #[arg(long, value_name = "PID", env = "PENSTOCK_PARENT", hide = true)]
    parent: Option<u32>,
}

/// The keys of the environment that providers' SDKs read.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the environment")]
pub(super) fn api_keys() -> Vec<(Provider, Secret)> {
    [(Provider::Anthropic, "ANTHROPIC_API_KEY"), (Provider::Openai, "OPENAI_API_KEY")]
        .into_iter()
        .filter_map(|(provider, name)| {
            let key = std::env::var(name).ok()?;
            (!key.trim().is_empty()).then(|| (provider, Secret::new(key.trim())))
        })
        .collect()
}

impl Raw {
    // Long because every setting has its line, once where it is read and once where it is kept.
    pub(super) fn check(self, api_keys: Vec<(Provider, Secret)>) -> Result<Config, InvalidConfig> {
        let config = self.config.unwrap_or_else(|| DEFAULT_CONFIG.into());
        let mut check = Check::of_file(&config.join("penstock.yaml"));

        let address = |text: &str| text.parse::<SocketAddr>().ok();
        let api_listen =
            check.value("api-listen", self.api_listen, DEFAULT_API_LISTEN, "an address and a port", address);
        let grpc_listen = check.value(
            "grpc-listen",
            self.grpc_listen,
            DEFAULT_GRPC_LISTEN,
            "an address and a port",
            address,
        );
        let what = "names of hosts separated by commas, without scheme and port";
        let public_hosts = check.value("public-hosts", self.public_hosts, "", what, public_hosts);
        let tls_names = check.value("tls-names", self.tls_names, "", "names separated by commas", names);
        let days = |text: &str| text.parse().ok().filter(|days| *days >= 1);
        let history_days = check.value(
            "history-days",
            self.history_days,
            DEFAULT_HISTORY_DAYS,
            "a number of days, at least 1",
            days,
        );
        let log_format =
            check.value("log-format", self.log_format, DEFAULT_LOG_FORMAT, "text or json", format);
        let log = check.value("log", self.log, DEFAULT_LOG, "levels", |text| Some(text.to_owned()));
        let database = check.database(self.database_url, self.database_ca);
        let data = check.data(self.data);
        let source = self.source.check(&mut check);
        let admission = self.admission.check(&mut check);

        let settings = || {
            Some(Config {
                source: source?,
                config,
                data: data?,
                api_listen: api_listen?,
                grpc_listen: grpc_listen?,
                tls_names: tls_names?,
                public_hosts: public_hosts?,
                admission,
                database,
                history_days: history_days?,
                log_format: log_format?,
                log: log?,
                parent: self.parent,
                api_keys,
            })
        };
        check.end(settings())
    }
}

fn names(text: &str) -> Option<Vec<String>> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'))
    };
    let names: Vec<_> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.iter().all(|name| is_name(name)).then_some(names)
}

fn public_hosts(text: &str) -> Option<PublicHosts> {
    PublicHosts::parse(text.split(',').map(str::trim).filter(|name| !name.is_empty())).ok()
}

fn format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}
