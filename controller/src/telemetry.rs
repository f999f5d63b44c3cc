//! Logs. They go to standard error; standard output carries one line, `ready`.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// What failed on the way to an API server is said once, by whoever asked; these would say it for every try. Levels by
/// module that are given come after these, and beat them.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Sends logs to standard error. `levels` is a level, or levels by module, as `info,penstock_controller=debug`;
/// parts of it that cannot be read are left out.
pub fn init(format: LogFormat, levels: &str) {
    let registry = tracing_subscriber::registry().with(EnvFilter::new(format!("{QUIET},{levels}")));
    // A second call (tests in one process) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
}
