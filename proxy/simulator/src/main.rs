//! The program: reads the flags, starts the simulator, says where it listens, and serves until stopped.

use std::{io::Write, time::Duration};

use anyhow::Context;
use clap::Parser;
use penstock_simulator::{Config, Simulator};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let runtime = if config.workers == 1 {
        runtime::Builder::new_current_thread().enable_all().build()
    } else {
        runtime::Builder::new_multi_thread().worker_threads(config.workers.into()).enable_all().build()
    };
    runtime.context("no runtime")?.block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    let parent = config.parent;
    let simulator = Simulator::start(config).await?;
    announce(&simulator)?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked.context("no signals"),
        _ = terminate.recv() => Ok(()),
        () = parent_gone(parent) => Ok(()),
    }
}

/// Waits until the process that started this one has gone, however it went: nobody would stop us.
async fn parent_gone(parent: Option<u32>) {
    let Some(parent) = parent else { return std::future::pending().await };
    while std::os::unix::process::parent_id() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One line for the program that started this one.
fn announce(simulator: &Simulator) -> anyhow::Result<()> {
    let line = serde_json::json!({ "listen": simulator.address(), "control": simulator.control_url() });
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")
}
