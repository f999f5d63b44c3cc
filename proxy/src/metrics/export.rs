//! The metrics' names, help and labels, written when they are scraped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use penstock_proto::event::Ending;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

use super::{CLASSES, OPERATIONS, OUTCOMES, TOKENS};
use crate::control::ControlStatus;
use crate::state::State;

/// Reads the counters, the sink and the accounts' live state at the time of a scrape.
pub(super) struct Exporter {
    state: Arc<State>,
    control: ControlStatus,
}

type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

impl Exporter {
    pub(super) fn new(state: Arc<State>, control: ControlStatus) -> Self {
        Self { state, control }
    }

    fn traffic(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.state.metrics;
        let mut family = counter(out, "requests", "Requests by operation and class of the answer's status")?;
        for (operation, classes) in OPERATIONS.iter().zip(&metrics.requests) {
            for (class, count) in CLASSES.iter().zip(classes) {
                count_of(&mut family, &[("operation", operation), ("code", class)], count)?;
            }
        }
        let endings = [Ending::Complete, Ending::Truncated, Ending::Error, Ending::ClientLeft];
        let mut family = counter(out, "request_endings", "Requests by how they ended for the client")?;
        for ending in endings {
            count_of(&mut family, &[("ending", ending.as_label())], &metrics.endings[ending as usize])?;
        }
        let mut family = counter(out, "attempts", "Attempts on accounts by what the answer meant")?;
        for (outcome, count) in OUTCOMES.iter().zip(&metrics.attempts) {
            count_of(&mut family, &[("outcome", outcome)], count)?;
        }
        let mut family = counter(out, "tokens", "Tokens by class, reported or estimated")?;
        for (class, count) in TOKENS.iter().zip(&metrics.tokens) {
            count_of(&mut family, &[("class", class)], count)?;
        }
        let help = "From the request's head to the first byte of its answer";
        metrics.first_byte.encode(out.encode_descriptor(
            "first_byte_seconds",
            help,
            None,
            MetricType::Histogram,
        )?)?;
        let help = "From the request's head to the last byte of its answer";
        metrics.total.encode(out.encode_descriptor("request_seconds", help, None, MetricType::Histogram)?)
    }

    fn process(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.state.metrics;
        let open = metrics.open_requests.load(Ordering::Relaxed);
        gauge(out, "open_requests", "Requests running now", &open)?;
        let open = metrics.open_connections.load(Ordering::Relaxed);
        gauge(out, "open_connections", "Client connections open now", &open)?;
        let failed = metrics.failed_connections.load(Ordering::Relaxed);
        single(out, "failed_connections", "Client connections that ended with an error", failed)?;
        let depth = self.state.sink.depth();
        gauge(out, "ring_events", "History events waiting in memory", &size(depth.ring as u64))?;
        gauge(out, "spool_bytes", "Bytes of history waiting in files", &size(depth.spool_bytes))?;
        single(out, "events_dropped", "History events lost because everything was full", depth.dropped)
    }

    fn snapshot(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let published = self.state.published();
        let snapshot = &published.view.snapshot;
        let mut info = out.encode_descriptor("snapshot", "The snapshot in force", None, MetricType::Info)?;
        info.encode_info(&[("version", snapshot.version.as_str())])?;
        if let Some(as_of) = snapshot.as_of {
            let age = Timestamp::now().duration_since(as_of).as_secs_f64();
            gauge(out, "snapshot_age_seconds", "Since the controller computed the snapshot in force", &age)?;
        }
        let connected = i64::from(self.control.connected);
        gauge(out, "controller_connected", "1 while both streams to the controller are open", &connected)?;
        let help = "Connections to the controller lost or refused";
        single(out, "controller_failures", help, self.control.failures)?;
        gauge(
            out,
            "snapshot_refusals",
            "Resources of the last push that are not in force",
            &size(self.control.refusals.len() as u64),
        )
    }

    fn accounts(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let published = self.state.published();
        let accounts = self.state.accounts(&published);
        let help = "1 for the state an account is in";
        let mut family = out.encode_descriptor("account_state", help, None, MetricType::Gauge)?;
        for account in &accounts {
            let labels = [("account", account.id.as_str()), ("state", account.state)];
            family.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
        let help = "Part of a window that is used, 0 to 1";
        let mut family =
            out.encode_descriptor("account_window_utilization_ratio", help, None, MetricType::Gauge)?;
        for account in &accounts {
            for window in &account.windows {
                let labels = [("account", account.id.as_str()), ("window", window.name.as_str())];
                family.encode_family(&labels)?.encode_gauge(&(window.utilization / 100.0))?;
            }
        }
        Ok(())
    }
}

impl Collector for Exporter {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        self.traffic(&mut out)?;
        self.process(&mut out)?;
        self.snapshot(&mut out)?;
        self.accounts(&mut out)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

fn counter<'s>(
    out: &'s mut DescriptorEncoder<'_>,
    name: &'s str,
    help: &'s str,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    out.encode_descriptor(name, help, None, MetricType::Counter)
}

/// Series that never counted anything are left out.
fn count_of<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    count: &AtomicU64,
) -> fmt::Result {
    match count.load(Ordering::Relaxed) {
        0 => Ok(()),
        count => family.encode_family(labels)?.encode_counter::<Labels<'static, 0>, _, u64>(&count, None),
    }
}

fn single(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, count: u64) -> fmt::Result {
    counter(out, name, help)?.encode_counter::<Labels<'static, 0>, _, u64>(&count, None)
}

fn gauge<V: prometheus_client::encoding::EncodeGaugeValue>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &V,
) -> fmt::Result {
    out.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
}

fn size(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
