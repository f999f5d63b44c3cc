//! The side-by-side benchmark: the same requests directly, through nginx and through Penstock with everything
//! on, by turns in one run on one machine. Prints figures beside their goals; judges by ratios, because
//! absolute times mean little on a shared machine. What is measured how: `docs/benchmarks.md`.
//!
//! | module | what it owns |
//! |---|---|
//! | `process` | a program: its start, its CPU time, its memory, its end |
//! | `nginx` | nginx and its configuration |
//! | `penstock` | controller and proxy, with ten accounts |
//! | `ground` | all of them at the simulator, and who is reached where |
//! | `requests` | what is asked |
//! | `client` | one connection, and whole answers on it |
//! | `load` | many connections: as fast as they go, at a steady rate, idle |
//! | `measure` | what is measured in which turn |
//! | `report` | the tables |
//!
//! `cargo bench -p penstock-proxy --bench side_by_side -- --programs target/dist`

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;

#[path = "side_by_side/client.rs"]
mod client;
#[path = "side_by_side/ground.rs"]
mod ground;
#[path = "side_by_side/load.rs"]
mod load;
#[path = "side_by_side/measure.rs"]
mod measure;
#[path = "side_by_side/nginx.rs"]
mod nginx;
#[path = "side_by_side/penstock.rs"]
mod penstock;
#[path = "side_by_side/process.rs"]
mod process;
#[path = "side_by_side/report.rs"]
mod report;
#[path = "side_by_side/requests.rs"]
mod requests;

use ground::Ground;

/// Measures direct, nginx and Penstock by turns.
#[derive(Parser)]
struct Options {
    /// Folder of Penstock's programs [default: those that cargo built for this benchmark]
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Short turns and few of them: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name: small, large, aliased, paced, flat, latency, idle, start
    #[arg(long, default_value = "")]
    only: String,
    /// Turns of each [default: 5]
    #[arg(long)]
    rounds: Option<usize>,
    /// Cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let files = process::raise_file_limit()?;
    let built = Path::new(env!("CARGO_BIN_EXE_penstock-proxy")).parent();
    let programs = options.programs.as_deref().or(built).context("a program is in a folder")?;
    let plan = measure::Plan::new(options.quick, options.rounds, options.only, files);
    let mut ground = Ground::start(programs, files).await?;
    report::machine(&ground, &plan)?;
    let mut outcome = measure::Outcome::default();
    let measured = measure::run(&plan, &mut ground, &mut outcome).await;
    let settled = ground.stop().await;
    report::tables(&outcome, &settled);
    measured
}
