//! One life of the server: started, awaited, stopped. And the end of one that outlived its controller.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::NoTls;

use super::EmbeddedError;
use super::cluster::Cluster;

/// A start after a crash replays up to a gigabyte of WAL.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// A clean stop writes a checkpoint; then, less cleanly, it takes no time and the next start replays.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at a server that starts or stops; a start takes about 40 ms.
const LOOK: Duration = Duration::from_millis(15);

/// A started server that answers.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(super) async fn start(cluster: &Cluster) -> Result<Self, EmbeddedError> {
        let mut server = Self { child: cluster.spawn()? };
        match server.answers(cluster).await {
            Ok(()) => Ok(server),
            Err(why) => {
                server.stop().await;
                Err(EmbeddedError::NotStarted { why, log: cluster.log_tail() })
            }
        }
    }

    async fn answers(&mut self, cluster: &Cluster) -> Result<(), String> {
        let config = cluster.connection();
        let deadline = Instant::now() + START_PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended, {status}"));
            }
            // Who answers is the server that this folder's socket belongs to. Connecting is all we want.
            if let Ok(Ok(_)) = timeout(STOP_PATIENCE, config.connect(NoTls)).await {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err(format!("it did not answer within {} s", START_PATIENCE.as_secs()))
    }

    /// The server's process, while it lives.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> String {
        describe(self.child.wait().await)
    }

    /// Stops it: cleanly, else at once.
    pub(super) async fn stop(&mut self) {
        for signal in [Signal::INT, Signal::QUIT, Signal::KILL] {
            let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return };
            // It may have ended on its own; then waiting says so.
            let _ = kill_process(pid, signal);
            if timeout(STOP_PATIENCE, self.child.wait()).await.is_ok() {
                return;
            }
        }
    }
}

fn describe(ended: std::io::Result<ExitStatus>) -> String {
    ended.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Ends the server that an earlier controller started on this folder and could not stop.
pub(super) async fn stop_left_over(cluster: &Cluster) -> Result<(), EmbeddedError> {
    let Some(number) = cluster.recorded_pid() else { return Ok(()) };
    let Some(pid) = Pid::from_raw(number) else { return Ok(()) };
    if !is_ours(pid, cluster) {
        // A crash left the file. If the number is another program's by now, Postgres would take it for a
        // server and not start. If it is a server that somebody else started here, Postgres must say so.
        if !command_line(pid).contains("postgres") {
            let _ = std::fs::remove_file(cluster.path().join("postmaster.pid"));
        }
        return Ok(());
    }
    tracing::info!(pid = number, "stopping the Postgres left over from an earlier run");
    for signal in [Signal::INT, Signal::QUIT, Signal::KILL] {
        let _ = kill_process(pid, signal);
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if !is_ours(pid, cluster) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
    Err(EmbeddedError::LeftOver { pid: number })
}

/// Whether the process lives and is a server that we started on this folder.
fn is_ours(pid: Pid, cluster: &Cluster) -> bool {
    test_kill_process(pid).is_ok() && command_line(pid).contains(&cluster.mark())
}

fn command_line(pid: Pid) -> String {
    let number = pid.as_raw_nonzero().to_string();
    if let Ok(line) = std::fs::read(format!("/proc/{number}/cmdline")) {
        return String::from_utf8_lossy(&line).into_owned();
    }
    let ps = std::process::Command::new("ps").args(["-ww", "-o", "args=", "-p", &number]).output();
    ps.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
