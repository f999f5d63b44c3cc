//! The proxy's settings: flags, `PENSTOCK_*` variables and defaults, checked once at the start.
//! The only module that reads the environment. Reports every mistake at once, never only the first.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use penstock_proto::peer::ProxyIdentity;

mod parse;

use parse::Raw;

/// Everything the proxy was told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where workloads connect; port 0 = any free one.
    pub listen: SocketAddr,
    /// Where probes, metrics and state are served.
    pub admin_listen: SocketAddr,
    /// TLS on the workload listener; `None` = cleartext.
    pub tls: Option<TlsFiles>,
    /// How to reach the controller.
    pub controller: ControllerConfig,
    /// Who this proxy is, as the controller and history show it.
    pub identity: ProxyIdentity,
    /// How it is used.
    pub role: Role,
    /// The ServiceAccount of the pod that a sidecar serves, as history shows it; empty outside a cluster.
    pub service_account: String,
    /// The pool in its namespace that serves a sidecar's pod; `None`: `default`.
    pub pool: Option<String>,
    /// Where history waits while the controller is away; `None` = only in memory.
    pub spool_dir: Option<PathBuf>,
    /// Single-threaded workers that share the port; at least 1.
    pub workers: usize,
    /// How long running streams may go on after a stop was asked for.
    pub drain_timeout: Duration,
    /// Largest request body, bytes.
    pub max_body: u64,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs are written: a level, or levels by module.
    pub log: String,
    /// The process that started this one and whose end ends it.
    pub parent: Option<u32>,
    /// Times and sizes that no flag changes.
    pub bounds: Bounds,
}

/// Certificate chain and key of the workload listener, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How to reach the controller.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// `https://host:port`.
    pub url: String,
    /// Certificate authority of the controller, PEM; `None` = the platform's roots.
    pub ca_file: Option<PathBuf>,
    /// Bearer token; read again before every connection, because it rotates.
    pub token_file: Option<PathBuf>,
}

/// How a proxy is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Beside one workload, in its pod.
    Sidecar,
    /// Shared by many workloads.
    Gateway,
    /// On a machine without a cluster.
    Standalone,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Times and sizes with a reason instead of a flag. Tests make them smaller.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From accepting a connection, or from the end of an answer, to the first byte of a request.
    /// Clients keep idle connections for up to 60 s; a shorter time would cut them as they send.
    pub idle_timeout: Duration,
    /// From the wish to stop on, how long an idle connection may bring one more request, which is answered and is its
    /// last. Closed at once, it would now and then be cut as its client sends.
    pub drain_idle: Duration,
    /// From the first byte of a request to the end of its head; also for a TLS handshake.
    pub head_timeout: Duration,
    /// Longest gap between two pieces of a request body: progress counts, not the total.
    pub body_progress: Duration,
    /// Longest time in which a client takes nothing of an answer that is waiting for it.
    pub write_progress: Duration,
    /// Upstream silence after which a stream is given up (reference: a model thinks for minutes).
    pub upstream_silence: Duration,
    /// Longest wait for the commit event before what was held back is sent anyway.
    pub commit_wait: Duration,
    /// Request bodies up to this size, bytes, are kept to be sent to a second account.
    pub replay: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(75),
            drain_idle: Duration::ZERO,
            head_timeout: Duration::from_secs(30),
            body_progress: Duration::from_secs(60),
            write_progress: Duration::from_secs(600),
            upstream_silence: Duration::from_secs(600),
            commit_wait: Duration::from_secs(10),
            replay: 32 << 20,
        }
    }
}

impl Role {
    /// How long history that is not delivered yet may keep a proxy that stops. Outside a cluster the spool's
    /// folder outlives the process. A pod's goes with the pod: there it is worth waiting until a controller
    /// and its Postgres are back, as long as a pod may take to end (a gateway's says the chart; a sidecar's is
    /// its application's, 30 s unless said otherwise).
    pub fn last_words(self) -> Duration {
        match self {
            Self::Standalone => Duration::from_secs(5),
            Self::Sidecar => Duration::from_secs(20),
            Self::Gateway => Duration::from_secs(60),
        }
    }

    /// As written in flags and shown by the controller.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Gateway => "gateway",
            Self::Standalone => "standalone",
        }
    }
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
        Raw::parse().check()
    }

    /// Reads flags as given, without the program's name.
    pub fn from_flags<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidConfig> {
        match Raw::try_parse_from(std::iter::once("penstock-proxy").chain(flags)) {
            Ok(raw) => raw.check(),
            Err(error) => Err(InvalidConfig(vec![error.to_string()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_standalone_proxy_on_loopback() {
        let config = Config::from_flags([]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.admin_listen.to_string(), "127.0.0.1:9901");
        assert_eq!((config.workers, config.max_body), (1, 64 << 20));
        assert_eq!(config.drain_timeout, Duration::from_secs(30));
        assert_eq!(config.role, Role::Standalone);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let flags = ["--listen", "nowhere", "--workers", "0", "--max-body", "lots", "--tls-cert", "a.pem"];
        let message = Config::from_flags(flags).unwrap_err().to_string();
        for part in ["--listen", "--workers", "--max-body", "--tls-key"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn a_gateway_uses_every_core_unless_told_otherwise() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(Config::from_flags(["--role", "gateway"]).unwrap().workers, cores);
        assert_eq!(Config::from_flags(["--role", "gateway", "--workers", "3"]).unwrap().workers, 3);
    }

    #[test]
    fn the_controller_is_reached_over_tls_only() {
        let message = Config::from_flags(["--controller", "http://controller:8091"]).unwrap_err().to_string();
        assert!(message.contains("https://"), "{message}");
    }
}
