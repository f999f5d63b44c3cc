//! Where flags, `PENSTOCK_*` variables and `<config>/penstock.yaml` come together.
//!
//! A flag beats a variable, a variable beats the file, the file beats the default. Every mistake in the
//! file is reported with its line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

/// The workload listener: what clients use as their base URL.
const DEFAULT_PROXY_LISTEN: &str = "127.0.0.1:8080";
/// Probes and metrics of the proxy.
const DEFAULT_ADMIN_LISTEN: &str = "127.0.0.1:9901";
/// Management API and dashboard.
const DEFAULT_API_LISTEN: &str = "127.0.0.1:8090";
/// Where the proxy finds the controller.
const DEFAULT_GRPC_LISTEN: &str = "127.0.0.1:8091";
/// The folder of manifests.
const DEFAULT_CONFIG: &str = "penstock.d";

/// Flags that say where things are. Each also as a `PENSTOCK_*` variable and in `<config>/penstock.yaml`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Flags {
    /// Folder of manifests (*.yaml), watched; also holds penstock.yaml [default: ./penstock.d]
    #[arg(long, value_name = "DIR", env = "PENSTOCK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where history, certificates and tokens are kept [default: ~/.local/share/penstock]
    #[arg(long, value_name = "DIR", env = "PENSTOCK_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", env = "PENSTOCK_PROXY_LISTEN")]
    pub(crate) proxy_listen: Option<SocketAddr>,
    /// Probes and Prometheus metrics of the proxy [default: 127.0.0.1:9901]
    #[arg(long, value_name = "HOST:PORT", env = "PENSTOCK_ADMIN_LISTEN")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Management API and dashboard [default: 127.0.0.1:8090]
    #[arg(long, value_name = "HOST:PORT", env = "PENSTOCK_API_LISTEN")]
    pub(crate) api_listen: Option<SocketAddr>,
    /// Where the proxy finds the controller [default: 127.0.0.1:8091]
    #[arg(long, value_name = "HOST:PORT", env = "PENSTOCK_GRPC_LISTEN")]
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// Your own Postgres instead of a private one in the data folder
    #[arg(long, value_name = "URL", env = "PENSTOCK_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
}

/// The same keys in `<config>/penstock.yaml`. The controller reads that file too, and reports keys that
/// neither of us knows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    data: Option<PathBuf>,
    proxy_listen: Option<SocketAddr>,
    admin_listen: Option<SocketAddr>,
    api_listen: Option<SocketAddr>,
    grpc_listen: Option<SocketAddr>,
    database_url: Option<String>,
}

/// What is in force.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) config: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) proxy_listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) api_listen: SocketAddr,
    pub(crate) grpc_listen: SocketAddr,
    pub(crate) database_url: Option<String>,
}

impl Flags {
    /// Reads the file and fills in the defaults.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let config = self.config.clone().unwrap_or_else(|| DEFAULT_CONFIG.into());
        let file = File::read(&config.join("penstock.yaml"))?;
        let data = match self.data.clone().or(file.data) {
            Some(data) => data,
            None => default_data()?,
        };
        let listen = |flag: Option<SocketAddr>, file: Option<SocketAddr>, default: &str| match flag.or(file) {
            Some(address) => Ok(address),
            None => default.parse().with_context(|| format!("default address {default}")),
        };
        Ok(Settings {
            config,
            data,
            proxy_listen: listen(self.proxy_listen, file.proxy_listen, DEFAULT_PROXY_LISTEN)?,
            admin_listen: listen(self.admin_listen, file.admin_listen, DEFAULT_ADMIN_LISTEN)?,
            api_listen: listen(self.api_listen, file.api_listen, DEFAULT_API_LISTEN)?,
            grpc_listen: listen(self.grpc_listen, file.grpc_listen, DEFAULT_GRPC_LISTEN)?,
            database_url: self.database_url.clone().or(file.database_url),
        })
    }
}

impl File {
    fn read(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Ok(Self::default()),
            Ok(text) => {
                serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
}

/// The value of an environment variable that the user named.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the environment")]
pub(crate) fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("the variable {name} is not set"))
}

/// `$XDG_DATA_HOME/penstock`, else `~/.local/share/penstock`.
pub(crate) fn default_data() -> anyhow::Result<PathBuf> {
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(data).join("penstock"));
    }
    let home = std::env::home_dir().context("HOME is not set: say with --data where to keep history")?;
    Ok(home.join(".local/share/penstock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("penstock.yaml"),
            "proxyListen: 127.0.0.1:1\nadminListen: 127.0.0.1:2\n",
        )
        .unwrap();
        let flags = Flags {
            config: Some(dir.path().into()),
            data: Some("/d".into()),
            proxy_listen: Some("127.0.0.1:9".parse().unwrap()),
            ..Flags::default()
        };
        let settings = flags.settings().unwrap();
        assert_eq!(settings.proxy_listen.port(), 9);
        assert_eq!(settings.admin_listen.port(), 2);
        assert_eq!(settings.api_listen.port(), 8090);
    }

    #[test]
    fn a_mistake_in_the_file_is_reported_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("penstock.yaml"), "data: /d\nproxyListen: nowhere\n").unwrap();
        let flags = Flags { config: Some(dir.path().into()), ..Flags::default() };
        let message = format!("{:#}", flags.settings().err().unwrap());
        assert!(message.contains("penstock.yaml") && message.contains("line 2"), "{message}");
    }
}
