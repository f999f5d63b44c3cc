//! A private Postgres: initialised and run by us from the installed programs, reachable only over a Unix
//! socket that nobody else may enter, in a folder of ours.
//!
//! | module | what it does |
//! |---|---|
//! | `install` | finds `initdb` and `postgres`, and which user they may run as |
//! | `cluster` | the data folder: made once, its settings, its version |
//! | `server` | one life of the server: started, awaited, stopped; left-overs of an earlier life ended |
//!
//! Started again when it dies, stopped cleanly when asked. A server that outlived a killed controller is
//! stopped before ours starts. Never listens on TCP, never touches a server it did not start.

mod cluster;
mod install;
mod server;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::cluster::Cluster;
use self::server::Server;

/// Between a server's death and its next start: the first time, and at most.
const RESTART: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// A running private Postgres. Keep it running with [`Embedded::run`]; dropped without that, the server
/// stays behind and is stopped by the next start.
#[derive(Debug)]
pub struct Embedded {
    cluster: Cluster,
    server: Server,
    /// Held while we live: two controllers must not share a folder.
    _lock: File,
}

/// Why there is no private Postgres.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The programs are not there.
    #[error(
        "Postgres is not installed: no folder of $PATH and none of /usr/lib/postgresql/*/bin has initdb and \
         postgres. Install it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install \
         postgresql-server; macOS: brew install postgresql) or name a database with --database-url"
    )]
    NotInstalled,
    /// The folder was made by another major version.
    #[error(
        "the history in {path} was written by Postgres {found}, installed is {installed}. Install Postgres \
         {found}, or move the data with pg_upgrade, or move the folder away to begin anew"
    )]
    OtherVersion {
        /// The data folder.
        path: PathBuf,
        /// The major version that made it.
        found: String,
        /// The installed major version.
        installed: String,
    },
    /// Another controller has the folder.
    #[error("another controller is using {path}")]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// Something about a file.
    #[error("cannot {step} {path}")]
    File {
        /// What was being done, as `create`.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program could not be run.
    #[error("cannot run {program}")]
    Run {
        /// Which.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// `initdb` failed.
    #[error("initdb failed: {output}")]
    Initdb {
        /// What it said.
        output: String,
    },
    /// The server ended, or did not answer in time.
    #[error("Postgres did not start ({why}); its log ends with: {log}")]
    NotStarted {
        /// What was seen.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The server of an earlier life does not stop.
    #[error("the Postgres left over from an earlier run (process {pid}) does not stop")]
    LeftOver {
        /// Its process.
        pid: i32,
    },
}

impl Embedded {
    /// Starts the server in `<data>/postgres` and waits until it answers; makes the cluster the first time.
    pub async fn start(data: &Path) -> Result<Self, EmbeddedError> {
        let cluster = Cluster::open(data)?;
        let lock = cluster.lock()?;
        server::stop_left_over(&cluster).await?;
        cluster.initialise().await?;
        let server = Server::start(&cluster).await?;
        info!(path = %cluster.path().display(), "the private Postgres is running");
        Ok(Self { cluster, server, _lock: lock })
    }

    /// How to connect to it, as its owner. The same for all lives of the server.
    pub fn connection(&self) -> tokio_postgres::Config {
        self.cluster.connection()
    }

    /// The process of the server as it is now.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Starts the server again whenever it ends, until `stop`; then stops it cleanly. Stop this after
    /// everything that uses the database.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut delay, longest) = RESTART;
        while let Some(ended) = stop.run_until_cancelled(self.server.ended()).await {
            warn!(how = %ended, "the private Postgres ended; starting it again");
            match stop.run_until_cancelled(self.restart()).await {
                None => break,
                Some(Ok(())) => delay = RESTART.0,
                Some(Err(error)) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the private Postgres did not start; trying again"
                    );
                    if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                        break;
                    }
                    delay = (delay * 2).min(longest);
                }
            }
        }
        self.server.stop().await;
        // One that was just being started when `stop` came.
        if let Err(error) = server::stop_left_over(&self.cluster).await {
            let error: &dyn std::error::Error = &error;
            warn!(error, "the private Postgres was left behind");
        } else {
            self.cluster.remove_socket_folder();
        }
    }

    async fn restart(&mut self) -> Result<(), EmbeddedError> {
        server::stop_left_over(&self.cluster).await?;
        self.server = Server::start(&self.cluster).await?;
        Ok(())
    }
}
