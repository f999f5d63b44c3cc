//! From raw text to checked settings, collecting every mistake.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use penstock_controller_core::site::PublicHosts;
use penstock_crds::Provider;
use penstock_proto::secret::Secret;
use serde_json::Value;

use super::admission::RawAdmission;
use super::source::RawSource;
use super::{Config, Database, InvalidConfig, LogFormat};
use crate::store::postgres::Target;

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

/// Keys of the file that belong to the other programs of `penstock up`.
const KEYS_OF_OTHERS: [&str; 2] = ["proxyListen", "adminListen"];

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

/// What is known so far, and what is wrong with it.
pub(super) struct Check {
    file: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Raw {
    // Long because every setting has its line, once where it is read and once where it is kept.
    pub(super) fn check(self, api_keys: Vec<(Provider, Secret)>) -> Result<Config, InvalidConfig> {
        let config = self.config.unwrap_or_else(|| DEFAULT_CONFIG.into());
        let mut check = Check { file: BTreeMap::new(), problems: Vec::new() };
        check.read(&config.join("penstock.yaml"));

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
        // What is missing has a problem that says why.
        match settings() {
            Some(config) if check.problems.is_empty() => Ok(config),
            _ => Err(InvalidConfig(check.problems)),
        }
    }
}

impl Check {
    fn read(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => text,
            Ok(_) => return,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.problems.push(format!("{} cannot be read: {error}", path.display())),
        };
        let known: Vec<String> = FLAGS.iter().map(|flag| key(flag)).collect();
        match serde_saphyr::from_str::<BTreeMap<String, Value>>(&text) {
            Ok(entries) => {
                for (name, value) in entries {
                    match value {
                        _ if KEYS_OF_OTHERS.contains(&name.as_str()) => {}
                        _ if !known.contains(&name) => {
                            self.problems.push(format!("{}: no setting is called {name}", path.display()));
                        }
                        Value::String(text) => drop(self.file.insert(name, text)),
                        Value::Number(number) => drop(self.file.insert(name, number.to_string())),
                        _ => self.problems.push(format!("{}: {name} is not one value", path.display())),
                    }
                }
            }
            Err(error) => self.problems.push(format!("{}: {error}", path.display())),
        }
    }

    /// Flag or variable, else file, else default.
    pub(super) fn value<T>(
        &mut self,
        flag: &str,
        given: Option<String>,
        default: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = given.or_else(|| self.file.get(&key(flag)).cloned()).unwrap_or_else(|| default.to_owned());
        let parsed = parse(text.trim());
        if parsed.is_none() {
            self.problems.push(format!("{}: {text:?} is not {what}", sources(flag)));
        }
        parsed
    }

    /// A URL and an authority that fit; a mistake reads as not given, and its text is not repeated.
    fn database(&mut self, url: Option<String>, ca: Option<PathBuf>) -> Option<Database> {
        let url = url.or_else(|| self.file.get("databaseUrl").cloned());
        let ca = ca.or_else(|| self.file.get("databaseCa").map(PathBuf::from));
        let Some(url) = url else {
            if ca.is_some() {
                self.problems.push(format!("{}: only with --database-url", sources("database-ca")));
            }
            return None;
        };
        if let Err(problem) = Target::parse(url.trim(), ca.as_deref()) {
            self.problems.push(format!("{}: {problem}", sources("database-url")));
            return None;
        }
        Some(Database { url: Secret::new(url.trim()), ca })
    }

    fn data(&mut self, given: Option<PathBuf>) -> Option<PathBuf> {
        let data = given.or_else(|| self.file.get("data").map(PathBuf::from)).or_else(default_data);
        if data.is_none() {
            self.problems.push("HOME is not set: say with --data where to keep history".to_owned());
        }
        data
    }
}

/// Every flag that may stand in the file.
const FLAGS: &[&str] = &[
    "data",
    "api-listen",
    "public-hosts",
    "grpc-listen",
    "tls-names",
    "database-url",
    "database-ca",
    "history-days",
    "log-format",
    "log",
    "source",
    "namespaces",
    "own-namespace",
    "pod",
    "name",
    "admission-listen",
    "proxy-image",
    "proxy-controller-url",
];

/// A flag as a key of the file.
fn key(flag: &str) -> String {
    let mut words = flag.split('-');
    let mut key = words.next().unwrap_or_default().to_owned();
    for word in words {
        key.push_str(&word[..1].to_ascii_uppercase());
        key.push_str(&word[1..]);
    }
    key
}

fn sources(flag: &str) -> String {
    let variable = flag.to_ascii_uppercase().replace('-', "_");
    format!("--{flag} (or PENSTOCK_{variable}, or {} in penstock.yaml)", key(flag))
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

/// `$XDG_DATA_HOME/penstock`, else `~/.local/share/penstock`.
fn default_data() -> Option<PathBuf> {
    match std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()) {
        Some(data) => Some(PathBuf::from(data).join("penstock")),
        None => Some(std::env::home_dir()?.join(".local/share/penstock")),
    }
}
