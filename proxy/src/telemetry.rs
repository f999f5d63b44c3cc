//! Logs, and the trace a request belongs to. Never touches a request: what it needs is passed on as is.
//!
//! Traces are exported by a layer that joins the registry in [`init`]; nothing else would change.

use penstock_proxy_core::headers::Headers;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Sends logs to standard error, in the format asked for. `levels` is a level, or levels by module;
/// parts of it that cannot be read are left out.
pub fn init(format: LogFormat, levels: &str) {
    let registry = tracing_subscriber::registry().with(filter(levels));
    // A second call (tests in one process) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => registry.with(fmt::layer().with_writer(std::io::stderr)).try_init(),
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
}

/// Not `EnvFilter`: its patterns bring an engine for regular expressions along.
fn filter(levels: &str) -> Targets {
    levels.split(',').map(str::trim).fold(Targets::new(), |filter, part| match part.split_once('=') {
        Some((module, level)) => match level.parse::<LevelFilter>() {
            Ok(level) => filter.with_target(module, level),
            Err(_) => filter,
        },
        None => match part.parse::<LevelFilter>() {
            Ok(level) => filter.with_default(level),
            Err(_) if part.is_empty() => filter,
            Err(_) => filter.with_target(part, LevelFilter::TRACE),
        },
    })
}

/// The trace id of a W3C `traceparent` header, 32 hex digits; `None` when there is no valid one.
pub(crate) fn trace_id(headers: &Headers) -> Option<&str> {
    let value = headers.text("traceparent")?;
    let mut parts = value.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hex = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let valid = version.len() == 2 && version != "ff" && hex(version);
    (valid && trace.len() == 32 && hex(trace) && trace.bytes().any(|b| b != b'0')).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_chosen_by_level_and_by_module() {
        let filter = filter("warn, penstock_proxy::control=debug,h2=nonsense,hyper");
        let writes = |module: &str, level| filter.would_enable(module, &level);
        assert!(writes("any", tracing::Level::WARN) && !writes("any", tracing::Level::INFO));
        assert!(writes("penstock_proxy::control::report", tracing::Level::DEBUG));
        assert!(!writes("h2", tracing::Level::INFO) && writes("hyper", tracing::Level::TRACE));
    }

    fn id_of(value: &str) -> Option<String> {
        let headers = [("traceparent", value)].into_iter().collect();
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn only_a_valid_traceparent_names_a_trace() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(id_of(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        assert_eq!(id_of(&format!("ff-{id}-00f067aa0ba902b7-01")), None);
        assert_eq!(id_of("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
        assert_eq!(id_of("nonsense"), None);
    }
}
