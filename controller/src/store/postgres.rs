//! Connections to Postgres: over a Unix socket without TLS, over TCP with TLS and verified certificates
//! unless the URL says `sslmode=disable`.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::StoreError;

/// Connections for questions: a dashboard asks for a handful at once.
pub(super) const READERS: usize = 6;
/// Connections for writing: two writers, and one for partitions and retention.
pub(super) const WRITERS: usize = 3;

/// Longer than any statement should take; a question about too much is given up rather than waited for.
const STATEMENT_TIMEOUT: &str = "30s";
/// To connect, or to be given a connection of the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long data may stay unacknowledged before a TCP connection counts as broken.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads `postgres://user:password@host/database?sslmode=…` (or libpq's `key=value` form).
pub fn parse_url(url: &str) -> Result<Config, StoreError> {
    Config::from_str(url).map_err(|source| StoreError::Url { source })
}

/// A pool of at most `size` connections, made when they are needed.
pub(super) fn pool(target: &Config, size: usize) -> Result<Pool, StoreError> {
    let config = with_defaults(target.clone());
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if wants_tls(&config) {
        Manager::from_config(config, MakeRustlsConnect::new(tls()?), recycling)
    } else {
        Manager::from_config(config, NoTls, recycling)
    };
    let timeouts = Timeouts {
        wait: Some(CONNECT_TIMEOUT),
        create: Some(CONNECT_TIMEOUT),
        recycle: Some(CONNECT_TIMEOUT),
    };
    let builder = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).timeouts(timeouts);
    Ok(builder.build().expect("a runtime is set, which is all that time-outs need"))
}

fn with_defaults(mut config: Config) -> Config {
    if config.get_application_name().is_none() {
        config.application_name("penstock");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    let asked = config.get_options().unwrap_or_default().to_owned();
    // What the URL asks for comes last, so that it counts.
    config.options(format!(
        "-c timezone=UTC -c client_min_messages=warning -c statement_timeout={STATEMENT_TIMEOUT} {asked}"
    ));
    config
}

fn wants_tls(config: &Config) -> bool {
    let over_tcp = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
    over_tcp && config.get_ssl_mode() != SslMode::Disable
}

/// Trusts what the platform trusts; `SSL_CERT_FILE` names other roots.
fn tls() -> Result<ClientConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    // A root that cannot be read is left out; without any, no certificate verifies and connecting says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| StoreError::Tls { source })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_spoken_to_in_clear_and_a_host_over_tls_unless_told_otherwise() {
        for (url, expected) in [
            ("host=/run/postgresql user=a", false),
            ("postgres://a@db.example/p", true),
            ("postgres://a@db.example/p?sslmode=require", true),
            ("postgres://a@db.example/p?sslmode=disable", false),
        ] {
            assert_eq!(wants_tls(&parse_url(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_its_password() {
        let error = parse_url("postgres://a:hunter2@db.example/p?sslmode=perhaps").unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn what_the_url_asks_for_comes_after_our_defaults() {
        let config = parse_url("host=/run options='-c statement_timeout=1s'").unwrap();
        let options = with_defaults(config).get_options().map(str::to_owned).unwrap_or_default();
        assert!(options.ends_with("statement_timeout=30s -c statement_timeout=1s"), "{options}");
    }
}
