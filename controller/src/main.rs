//! The control plane of Penstock. All it does is read the settings and run the app.

use std::process::ExitCode;

use penstock_controller::config::Config;
use penstock_controller::{app, telemetry};

/// Chosen by measurement, see docs/benchmarks.md: what a start or a change of many accounts took is given back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::from_process() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("penstock-controller: {error}");
            // The exit status of wrong usage.
            return ExitCode::from(2);
        }
    };
    telemetry::init(config.log_format, &config.log);
    match app::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("penstock-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}
