//! The controller's metrics, in the Prometheus text format at `/metrics` of the API listener. The only
//! module that names one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use penstock_controller_core::Plan;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::ingest::Ingest;
use crate::proxies::Registry as Proxies;

/// All of them.
pub struct Metrics {
    registry: Registry,
    /// Those of the gRPC listener.
    pub grpc: GrpcMetrics,
    /// Those of the reconcile loop.
    pub reconcile: ReconcileMetrics,
    /// Those of the webhook.
    pub admission: AdmissionMetrics,
    /// What the API server is asked of tokens and rights.
    pub reviews: ReviewMetrics,
    /// Watches, leadership, statuses.
    pub cluster: ClusterMetrics,
}

/// What happens between the controller and proxies.
#[derive(Debug, Clone, Default)]
pub struct GrpcMetrics {
    pushes: Counter,
    nacks: Family<[(&'static str, &'static str); 1], Counter>,
    lag: Lag,
    refused: Counter,
    observations: Counter,
    unreadable: Counter,
}

/// What the loop decides.
#[derive(Debug, Clone, Default)]
pub struct ReconcileMetrics {
    seconds: Seconds,
    resources: Gauge,
    accounts: Gauge,
}

/// What the webhook answers.
#[derive(Debug, Clone, Default)]
pub struct AdmissionMetrics {
    reviews: Family<[(&'static str, &'static str); 1], Counter>,
}

/// Between this controller and the objects: watches, leadership, statuses.
#[derive(Debug, Clone, Default)]
pub struct ClusterMetrics {
    lists: Family<[(&'static str, &'static str); 1], Counter>,
    failures: Family<[(&'static str, &'static str); 1], Counter>,
    heard: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    leader: Gauge,
    leader_changes: Counter,
    status_writes: Family<[(&'static str, &'static str); 1], Counter>,
}

/// What the API server is asked of tokens and rights.
#[derive(Debug, Clone, Default)]
pub struct ReviewMetrics {
    reviews: Family<[(&'static str, &'static str); 2], Counter>,
}

/// What a question to the API server is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    /// The token of a proxy.
    ProxyToken,
    /// The token of somebody who calls the management API.
    Token,
    /// Whether they are allowed something.
    Access,
}

/// How questions of one kind are answered.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    answered: Counter,
    known: Counter,
    failed: Counter,
}

/// From a push to its answer: 1 ms to 16 s.
#[derive(Debug, Clone)]
struct Lag(Histogram);

impl Default for Lag {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.001, 2.0, 15)))
    }
}

/// One decision: 0.1 ms to 1.6 s.
#[derive(Debug, Clone)]
struct Seconds(Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.000_1, 2.0, 15)))
    }
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("penstock_controller");
        let (grpc, reconcile) = (GrpcMetrics::default(), ReconcileMetrics::default());
        let admission = AdmissionMetrics::default();
        let GrpcMetrics { pushes, nacks, lag, refused, observations, unreadable } = grpc.clone();
        registry.register("pushes", "Pushes sent to proxies", pushes);
        registry.register("nacks", "Resources that proxies refused", nacks);
        let help = "From a push to the proxy's answer";
        registry.register_with_unit("push_lag", help, Unit::Seconds, lag.0);
        registry.register("peers_refused", "Calls whose token was missing or wrong", refused);
        registry.register("observations", "Observations taken in", observations);
        registry.register("reports_unreadable", "Observations and events left out of a report", unreadable);
        let ReconcileMetrics { seconds, resources, accounts } = reconcile.clone();
        registry.register_with_unit("reconcile", "Time of one decision", Unit::Seconds, seconds.0);
        registry.register("resources", "Resources that proxies may be told", resources);
        registry.register("accounts", "Accounts there are", accounts);
        registry.register("reviews", "Pods that the webhook was asked about", admission.reviews.clone());
        let reviews = ReviewMetrics::default();
        let help = "What was asked of tokens and rights, and whether the API server was, or it was known";
        registry.register("api_server_reviews", help, reviews.reviews.clone());
        let cluster = ClusterMetrics::default();
        cluster.register(&mut registry);
        Self { registry, grpc, reconcile, admission, reviews, cluster }
    }

    /// Adds what others count themselves, read whenever it is asked for.
    pub fn watch(&mut self, proxies: Proxies, ingest: Ingest) {
        self.registry.register_collector(Box::new(Watched { proxies, ingest }));
    }

    /// `/metrics`.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let registry = Arc::new(self.registry);
        Router::new().route(
            "/metrics",
            get(move || async move {
                let mut text = String::new();
                // Writing to a string cannot fail.
                let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
                ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            }),
        )
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl GrpcMetrics {
    pub(crate) fn pushed(&self) {
        self.pushes.inc();
    }

    pub(crate) fn nacked(&self, kind: &'static str) {
        self.nacks.get_or_create(&[("kind", kind)]).inc();
    }

    pub(crate) fn answered(&self, lag: SignedDuration) {
        self.lag.0.observe(lag.as_secs_f64().max(0.0));
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    pub(crate) fn observed(&self, count: usize) {
        self.observations.inc_by(count as u64);
    }

    pub(crate) fn unreadable(&self) {
        self.unreadable.inc();
    }
}

impl ReconcileMetrics {
    pub(crate) fn decided(&self, time: Duration, plan: &Plan) {
        self.seconds.0.observe(time.as_secs_f64());
        self.resources.set(i64::try_from(plan.resources.len()).unwrap_or(i64::MAX));
        self.accounts.set(i64::try_from(plan.accounts.len()).unwrap_or(i64::MAX));
    }
}

impl AdmissionMetrics {
    pub(crate) fn reviewed(&self, outcome: &'static str) {
        self.reviews.get_or_create(&[("outcome", outcome)]).inc();
    }
}

impl ClusterMetrics {
    fn register(&self, registry: &mut Registry) {
        let Self { lists, failures, heard, leader, leader_changes, status_writes } = self.clone();
        registry.register("watch_lists", "Lists that watches began with, or began anew with", lists);
        registry.register("watch_failures", "Failures of watches and their lists", failures);
        let help = "When the last event of a kind came, since 1970";
        registry.register_with_unit("watch_last_event", help, Unit::Seconds, heard);
        registry.register("leader", "Whether this replica leads", leader);
        let help = "How often this replica began or ceased to lead";
        registry.register("leader_changes", help, leader_changes);
        registry.register("status_writes", "Writes of statuses by how they ended", status_writes);
    }

    pub(crate) fn watch_heard(&self, kind: &'static str, begins_a_list: bool) {
        let now = Timestamp::now().as_duration().as_secs_f64();
        self.heard.get_or_create(&[("kind", kind)]).set(now);
        if begins_a_list {
            self.lists.get_or_create(&[("kind", kind)]).inc();
        }
    }

    pub(crate) fn watch_failed(&self, kind: &'static str) {
        self.failures.get_or_create(&[("kind", kind)]).inc();
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
        self.leader_changes.inc();
    }

    pub(crate) fn wrote_status(&self, outcome: &'static str) {
        self.status_writes.get_or_create(&[("outcome", outcome)]).inc();
    }
}

impl ReviewMetrics {
    /// Those of one kind.
    pub fn of(&self, review: Review) -> Asked {
        let review = match review {
            Review::ProxyToken => "proxy_token",
            Review::Token => "token",
            Review::Access => "access",
        };
        let counter = |answer| self.reviews.get_or_create(&[("review", review), ("answer", answer)]).clone();
        Asked { answered: counter("asked"), known: counter("known"), failed: counter("failed") }
    }
}

impl Asked {
    pub(crate) fn answered(&self) {
        self.answered.inc();
    }

    pub(crate) fn known(&self) {
        self.known.inc();
    }

    pub(crate) fn failed(&self) {
        self.failed.inc();
    }
}

/// What is counted elsewhere.
#[derive(Clone)]
struct Watched {
    proxies: Proxies,
    ingest: Ingest,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counters = self.ingest.counters();
        let read = |counter: &AtomicU64| ConstCounter::new(counter.load(Ordering::Relaxed));
        for (name, help, counter) in [
            ("events_stored", "History events stored", &counters.inserted),
            ("events_duplicate", "History events that were stored already", &counters.duplicates),
            ("events_dropped", "History events that will never be stored", &counters.dropped),
            ("batches_busy", "Batches refused for now", &counters.busy),
            ("history_writes", "Transactions that stored history", &counters.writes),
        ] {
            let counter = read(counter);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (name, help, value) in [
            ("events_waiting", "History events waiting or being written", number(self.ingest.depth())),
            ("history_up", "Whether the database answered lately", i64::from(self.ingest.is_storing())),
            ("proxies_connected", "Proxies that are connected", number(self.proxies.count())),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
