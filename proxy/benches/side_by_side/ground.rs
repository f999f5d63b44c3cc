//! All that is compared, on simulators that only answer, and who is reached where.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use tempfile::TempDir;

use crate::nginx::{Nginx, free_address};
use crate::penstock::Penstock;
use crate::process::{Process, cpu_ns, program};
use crate::requests::Pace;

/// Which way a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Via {
    /// To the simulator.
    Direct,
    /// Through nginx.
    Nginx,
    /// Through Penstock.
    Penstock,
}

/// Simulators, nginx and Penstock, running.
pub(crate) struct Ground {
    simulators: Vec<(Pace, SocketAddr, Process)>,
    relays: Vec<(Pace, SocketAddr)>,
    pub(crate) nginx: Nginx,
    pub(crate) penstock: Penstock,
    /// Requests that Penstock was asked.
    pub(crate) asked: u64,
    _folder: TempDir,
}

/// What became of the history.
pub(crate) struct Settled {
    /// Requests that Penstock was asked.
    pub(crate) asked: u64,
    /// Rows in the database, and events that were lost; or why nobody knows.
    pub(crate) stored: anyhow::Result<(u64, u64)>,
}

#[derive(Deserialize)]
struct Simulator {
    listen: SocketAddr,
}

impl Ground {
    /// `files`: how many a process may have open.
    pub(crate) async fn start(programs: &Path, files: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut simulators = Vec::new();
        for pace in [Pace::Flat, Pace::Paced, Pace::Idle] {
            let mut command = program(programs, "penstock-simulator");
            command.args(["--bench", "--event-delay", pace.event_delay()]);
            let (process, Simulator { listen }) = Process::start_announced(&mut command).await?;
            simulators.push((pace, listen, process));
        }
        let targets: Vec<_> = simulators.iter().map(|(pace, listen, _)| (*pace, *listen)).collect();
        let mut relays = Vec::new();
        for (pace, _) in &targets {
            relays.push((*pace, free_address()?));
        }
        let pairs: Vec<_> = relays.iter().zip(&targets).map(|(relay, target)| (relay.1, target.1)).collect();
        let nginx = Nginx::start(&folder.path().join("nginx"), &pairs, files).await?;
        let penstock = Penstock::start(programs, folder.path(), &targets).await?;
        Ok(Self { simulators, relays, nginx, penstock, asked: 0, _folder: folder })
    }

    /// Where to connect.
    pub(crate) fn address(&self, via: Via, pace: Pace) -> anyhow::Result<SocketAddr> {
        let relay = self.relays.iter().find(|(known, _)| *known == pace);
        let simulator = self.simulators.iter().find(|(known, ..)| *known == pace);
        let address = match via {
            Via::Direct => simulator.map(|(_, listen, _)| *listen),
            Via::Nginx => relay.map(|(_, listen)| *listen),
            Via::Penstock => Some(self.penstock.listen),
        };
        address.ok_or_else(|| anyhow::anyhow!("nobody serves {pace:?}"))
    }

    /// The process that relays; for direct ones there is none.
    pub(crate) fn pid(&self, via: Via) -> Option<u32> {
        match via {
            Via::Direct => None,
            Via::Nginx => Some(self.nginx.worker),
            Via::Penstock => Some(self.penstock.pid()),
        }
    }

    /// CPU time that relaying has taken, nanoseconds: all of it, and that of the threads that serve.
    pub(crate) fn cpu(&self, via: Via) -> anyhow::Result<(u64, u64)> {
        let Some(pid) = self.pid(via) else { return Ok((0, 0)) };
        let serving = match via {
            Via::Direct | Via::Nginx => None,
            Via::Penstock => Some("worker"),
        };
        Ok((cpu_ns(pid, None)?, cpu_ns(pid, serving)?))
    }

    /// Waits for the history and ends everything.
    pub(crate) async fn stop(self) -> Settled {
        let stored = self.penstock.stored(self.asked).await;
        let ended = async {
            self.penstock.stop().await?;
            self.nginx.stop().await?;
            for (_, _, simulator) in self.simulators {
                simulator.stop().await?;
            }
            anyhow::Ok(())
        };
        Settled { asked: self.asked, stored: ended.await.and(stored) }
    }
}

impl Via {
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Nginx, Self::Penstock];
}
