//! From what was typed to checked values, collecting every mistake on the way.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use penstock_proto::peer::ProxyIdentity;
use uuid::Uuid;

use super::{Bounds, Config, ControllerConfig, InvalidConfig, LogFormat, Role, TlsFiles};

/// Routes each request of a workload to one of many provider accounts, and moves to the next when one
/// is limited, overloaded or broken.
#[derive(Debug, Parser)]
#[command(name = "penstock-proxy", version)]
pub(super) struct Raw {
    /// Where workloads connect (host:port; port 0 = any free one).
    #[arg(long, env = "PENSTOCK_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where probes, metrics and state are served (host:port).
    #[arg(long, env = "PENSTOCK_ADMIN_LISTEN", default_value = "127.0.0.1:9901")]
    admin_listen: String,
    /// Certificate chain of the workload listener, PEM; without it the listener is cleartext.
    #[arg(long, env = "PENSTOCK_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the workload listener, PEM.
    #[arg(long, env = "PENSTOCK_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The controller's gRPC address.
    #[arg(long, env = "PENSTOCK_CONTROLLER", default_value = "https://127.0.0.1:8091", value_name = "URL")]
    controller: String,
    /// Certificate authority of the controller, PEM.
    #[arg(long, env = "PENSTOCK_CONTROLLER_CA", value_name = "FILE")]
    controller_ca: Option<PathBuf>,
    /// Bearer token for the controller.
    #[arg(long, env = "PENSTOCK_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Folder where history waits while the controller is away; without it, it waits in memory only.
    #[arg(long, env = "PENSTOCK_SPOOL_DIR", value_name = "DIR")]
    spool_dir: Option<PathBuf>,
    /// Single-threaded workers that share the port [default: 1; for a gateway the number of cores].
    #[arg(long, env = "PENSTOCK_WORKERS", value_name = "N")]
    workers: Option<String>,
    /// Namespace whose accounts are used.
    #[arg(long, env = "PENSTOCK_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Name of this pod or host, as shown in history.
    #[arg(long, env = "PENSTOCK_POD", default_value = "")]
    pod: String,
    /// ServiceAccount of this pod, as shown in history.
    #[arg(long, env = "PENSTOCK_SERVICE_ACCOUNT", default_value = "")]
    service_account: String,
    /// AccountPool in the namespace that serves this pod [default: default].
    #[arg(long, env = "PENSTOCK_POOL", value_name = "NAME")]
    pool: Option<String>,
    /// How this proxy is used: sidecar, gateway or standalone.
    #[arg(long, env = "PENSTOCK_ROLE", default_value = "standalone")]
    role: String,
    /// How long running streams may go on after SIGTERM (500ms, 30s, 10m).
    #[arg(long, env = "PENSTOCK_DRAIN_TIMEOUT", default_value = "30s", value_name = "TIME")]
    drain_timeout: String,
    /// Largest request body (bytes, or with KiB, MiB, GiB).
    #[arg(long, env = "PENSTOCK_MAX_BODY", default_value = "64MiB", value_name = "SIZE")]
    max_body: String,
    /// text or json.
    #[arg(long, env = "PENSTOCK_LOG_FORMAT", default_value = "text")]
    log_format: String,
    /// Which logs are written: a level (warn, info, debug), or levels by module.
    #[arg(long, env = "PENSTOCK_LOG", default_value = "info")]
    log: String,
    /// The process that started this one; when it is gone, this one ends too.
    #[arg(long, env = "PENSTOCK_PARENT", hide = true)]
    parent: Option<u32>,
}

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    fn note(&mut self, flag: &str, given: &str, wanted: &str) {
        self.0.push(format!("{flag} {given:?}: expected {wanted}"));
    }

    /// The parsed value, or a noted mistake and the stand-in (which is never used: the check fails).
    fn take<T>(&mut self, flag: &str, given: &str, wanted: &str, parsed: Option<T>, stand_in: T) -> T {
        parsed.unwrap_or_else(|| {
            self.note(flag, given, wanted);
            stand_in
        })
    }
}

impl Raw {
    // One table, one entry per setting: longer than other functions, and read line by line.
    pub(super) fn check(self) -> Result<Config, InvalidConfig> {
        let mut bad = Problems::default();
        let nowhere = ([127, 0, 0, 1], 0).into();
        let role =
            bad.take("--role", &self.role, "sidecar, gateway or standalone", role(&self.role), Role::Sidecar);
        let config = Config {
            listen: bad.take("--listen", &self.listen, "host:port", self.listen.parse().ok(), nowhere),
            admin_listen: bad.take(
                "--admin-listen",
                &self.admin_listen,
                "host:port",
                self.admin_listen.parse().ok(),
                nowhere,
            ),
            tls: tls(self.tls_cert, self.tls_key, &mut bad),
            controller: controller(self.controller, self.controller_ca, self.token_file, &mut bad),
            identity: ProxyIdentity {
                id: Uuid::now_v7().to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                namespace: self.namespace,
                pod: self.pod,
                role: role.as_label().to_owned(),
            },
            role,
            service_account: self.service_account,
            pool: self.pool.filter(|pool| !pool.is_empty()),
            spool_dir: self.spool_dir,
            workers: workers(self.workers.as_deref(), role, &mut bad),
            drain_timeout: bad.take(
                "--drain-timeout",
                &self.drain_timeout,
                "a time such as 500ms, 30s or 10m",
                duration(&self.drain_timeout),
                Duration::ZERO,
            ),
            max_body: bad.take(
                "--max-body",
                &self.max_body,
                "a size such as 65536, 512KiB or 64MiB",
                size(&self.max_body),
                0,
            ),
            log_format: bad.take(
                "--log-format",
                &self.log_format,
                "text or json",
                log_format(&self.log_format),
                LogFormat::Text,
            ),
            log: self.log,
            parent: self.parent,
            bounds: Bounds { drain_idle: drain_idle(role), ..Bounds::default() },
        };
        if bad.0.is_empty() { Ok(config) } else { Err(InvalidConfig(bad.0)) }
    }
}

fn role(raw: &str) -> Option<Role> {
    [Role::Sidecar, Role::Gateway, Role::Standalone].into_iter().find(|role| role.as_label() == raw)
}

/// A gateway leaves while others go on and its clients with them; what a sidecar's or a stand-alone proxy's clients are
/// part of ends with it.
fn drain_idle(role: Role) -> Duration {
    match role {
        // Longer than a busy client pauses between two requests.
        Role::Gateway => Duration::from_secs(5),
        Role::Sidecar | Role::Standalone => Duration::ZERO,
    }
}

fn log_format(raw: &str) -> Option<LogFormat> {
    match raw {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn tls(cert: Option<PathBuf>, key: Option<PathBuf>, bad: &mut Problems) -> Option<TlsFiles> {
    match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            bad.note("--tls-key", "", "a file, because --tls-cert is given");
            None
        }
        (None, Some(_)) => {
            bad.note("--tls-cert", "", "a file, because --tls-key is given");
            None
        }
    }
}

fn controller(
    url: String,
    ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    bad: &mut Problems,
) -> ControllerConfig {
    let named = url.parse::<http::Uri>().ok().is_some_and(|uri| uri.host().is_some());
    if !named || !url.starts_with("https://") {
        bad.note("--controller", &url, "https://host:port (credentials travel on it)");
    }
    ControllerConfig { url, ca_file, token_file }
}

fn workers(raw: Option<&str>, role: Role, bad: &mut Problems) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match (raw, role) {
        (Some(raw), _) => {
            let parsed = raw.parse().ok().filter(|count| (1..=1024).contains(count));
            bad.take("--workers", raw, "a number from 1 to 1024", parsed, 1)
        }
        (None, Role::Gateway) => cores,
        (None, Role::Sidecar | Role::Standalone) => 1,
    }
}

/// `500ms`, `30s`, `10m`, `1h`.
fn duration(raw: &str) -> Option<Duration> {
    let (number, unit) = split_unit(raw);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

/// Bytes, `KiB`, `MiB`, `GiB`.
fn size(raw: &str) -> Option<u64> {
    let (number, unit) = split_unit(raw);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn split_unit(raw: &str) -> (&str, &str) {
    raw.split_at(raw.find(|c: char| !c.is_ascii_digit()).unwrap_or(raw.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_carry_their_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("10m"), Some(Duration::from_secs(600)));
        assert_eq!((duration("30"), duration("s"), duration("-1s")), (None, None, None));
        assert_eq!(
            (size("64MiB"), size("12"), size("1 KiB"), size("MiB")),
            (Some(64 << 20), Some(12), None, None)
        );
    }
}
