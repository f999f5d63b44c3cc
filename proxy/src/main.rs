//! Starts the proxy and says where it listens.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use penstock_proxy::app::{App, Source};
use penstock_proxy::config::Config;
use penstock_proxy::shutdown::Shutdown;
use penstock_proxy::telemetry;
use serde::Serialize;

/// Chosen by measurement, see docs/benchmarks.md: a request is some hundred small allocations.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The one line on standard output, for whoever started this process.
#[derive(Serialize)]
struct Ready {
    listen: String,
    admin: String,
}

fn main() -> ExitCode {
    let config = match Config::from_process() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    telemetry::init(config.log_format, &config.log);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the proxy ends");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        let app = App::start(config, Source::Controller, shutdown.clone()).await?;
        let ready = Ready { listen: app.listen().to_string(), admin: app.admin().to_string() };
        let mut out = std::io::stdout();
        writeln!(out, "{}", serde_json::to_string(&ready)?)
            .and_then(|()| out.flush())
            .context("standard output")?;
        tokio::select! {
            ended = app.run() => Ok(ended?),
            failed = shutdown.on_signal() => failed.context("signals cannot be received"),
        }
    })
}
