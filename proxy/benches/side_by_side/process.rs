//! A program of the benchmark: its start, what the system says of it, its end.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A database that is initialised on a busy machine takes some seconds; more is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) pid: u32,
}

/// What a process takes of the machine's memory, bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) rss: u64,
    /// Of it: its own, not backed by a file.
    pub(crate) anonymous: u64,
    /// Proportional: what is shared with other processes is divided among them.
    pub(crate) pss: u64,
}

/// Raises the limit of open files as far as it may be; what it is now.
pub(crate) fn raise_file_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

impl Process {
    /// Starts a program.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let named = command.as_std().get_program().to_owned();
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("{} could not be started", named.display()))?;
        let pid = child.id().context("it ended at once")?;
        Ok(Self { child, pid })
    }

    /// Starts one of Penstock's programs and waits for the line of JSON it says when it is ready.
    pub(crate) async fn start_announced<T: DeserializeOwned>(
        command: &mut Command,
    ) -> anyhow::Result<(Self, T)> {
        let mut process = Self::start(command.stdout(Stdio::piped()))?;
        let stdout = process.child.stdout.take().context("standard output is piped")?;
        let line = timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await;
        let line = line.context("it did not get ready")??.context("it ended before it was ready")?;
        let announced = serde_json::from_str(&line).with_context(|| format!("it said {line:?}"))?;
        Ok((process, announced))
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        signal(self.pid)?;
        timeout(PATIENCE, self.child.wait()).await.context("it did not end")??;
        Ok(())
    }
}

fn signal(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
    Ok(kill_process(pid, Signal::TERM)?)
}

/// CPU time of a process since its start, user and system, in nanoseconds: of all threads, or only those
/// of this name.
pub(crate) fn cpu_ns(pid: u32, thread: Option<&str>) -> anyhow::Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        // A thread may end while we look; it has no part in what is measured then.
        let read = |file: &str| fs::read_to_string(task.join(file)).ok();
        if thread.is_none_or(|name| read("comm").is_some_and(|comm| comm.trim_end() == name)) {
            let schedstat = read("schedstat").unwrap_or_default();
            total += schedstat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(total)
}

/// Resident memory, bytes; cheap enough to be asked for under load.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// All about its memory; makes the process wait for a moment.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let rollup = format!("/proc/{pid}/smaps_rollup");
    Ok(Memory {
        rss: field(&rollup, "Rss:")?,
        anonymous: field(&rollup, "Anonymous:")?,
        pss: field(&rollup, "Pss:")?,
    })
}

fn field(file: &str, name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
    let line =
        text.lines().find(|line| line.starts_with(name)).with_context(|| format!("{name} in {file}"))?;
    let kib: u64 = line.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(kib * 1024)
}

/// The only child of a process.
pub(crate) async fn child_of(pid: u32) -> anyhow::Result<u32> {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let find = async {
        loop {
            let children = fs::read_to_string(&file).unwrap_or_default();
            if let Some(child) = children.split_whitespace().next() {
                return child.parse();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    Ok(timeout(PATIENCE, find).await.context("it has no child")??)
}

/// A program in a folder.
pub(crate) fn program(folder: &Path, name: &str) -> Command {
    Command::new(folder.join(name))
}
