//! Connections to Postgres: over a Unix socket without TLS, over TCP with TLS and verified certificates
//! unless the URL says `sslmode=disable`.
//!
//! | module | what it owns |
//! |---|---|
//! | [`target`] | the URL and the authority: where the database is, and how it proves who it is |

pub mod target;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::Either;
use tokio_postgres::tls::{MakeTlsConnect, NoTlsStream};
use tokio_postgres::{Client, Config, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use self::target::{InvalidTarget, Target};
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
/// A server whose machine is gone answers nothing, also not that it is gone: a connection that waits for
/// it is asked after this time, and counts as broken a quarter of a minute later.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);
/// What tokio-postgres has where nothing is said.
const NO_KEEPALIVE: Duration = Duration::from_secs(2 * 60 * 60);

/// A pool of at most `size` connections, made when they are needed.
pub(super) fn pool(target: &Target, size: usize) -> Result<Pool, StoreError> {
    let config = with_defaults(target.config().clone());
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match target.tls().map_err(|source| StoreError::Tls { source })? {
        Some(tls) => Manager::from_config(config, MakeRustlsConnect::new(tls), recycling),
        None => Manager::from_config(config, NoTls, recycling),
    };
    let timeouts = Timeouts {
        wait: Some(CONNECT_TIMEOUT),
        create: Some(CONNECT_TIMEOUT),
        recycle: Some(CONNECT_TIMEOUT),
    };
    let builder = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).timeouts(timeouts);
    Ok(builder.build().expect("a runtime is set, which is all that time-outs need"))
}

/// One connection beside the pools, in clear or over TLS.
pub(super) async fn connect(target: &Target) -> Result<Either<Clear, OverTls>, StoreError> {
    let config = with_defaults(target.config().clone());
    let failed = |source: tokio_postgres::Error| StoreError::unconnected(PoolError::Backend(source));
    Ok(match target.tls().map_err(|source| StoreError::Tls { source })? {
        None => Either::Left(config.connect(NoTls).await.map_err(failed)?),
        Some(tls) => Either::Right(config.connect(MakeRustlsConnect::new(tls)).await.map_err(failed)?),
    })
}

type Clear = (Client, Connection<Socket, NoTlsStream>);
type OverTls = (Client, Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>);

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
    if config.get_keepalives_idle() == NO_KEEPALIVE {
        let (idle, interval, retries) = KEEPALIVE;
        config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
    }
    let asked = config.get_options().unwrap_or_default().to_owned();
    // What the URL asks for comes last, so that it counts.
    config.options(format!(
        "-c timezone=UTC -c client_min_messages=warning -c statement_timeout={STATEMENT_TIMEOUT} {asked}"
    ));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_asks_for_comes_after_our_defaults() {
        let target = Target::parse("host=/run options='-c statement_timeout=1s'", None).unwrap();
        let options =
            with_defaults(target.config().clone()).get_options().map(str::to_owned).unwrap_or_default();
        assert!(options.ends_with("statement_timeout=30s -c statement_timeout=1s"), "{options}");
    }

    #[test]
    fn a_connection_whose_server_fell_silent_is_noticed_unless_the_url_says_otherwise() {
        for (url, expected) in [("postgres://a@db/p", 15), ("postgres://a@db/p?keepalives_idle=60", 60)] {
            let target = Target::parse(url, None).unwrap();
            assert_eq!(with_defaults(target.config().clone()).get_keepalives_idle().as_secs(), expected);
        }
    }
}
