//! Every metric by name, and nothing else. Counting is an atomic add on a field; names, labels and text
//! are made when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use penstock_proto::event::Event;
use penstock_proxy_core::classify::Outcome;
use penstock_proxy_core::route::Operation;
use prometheus_client::registry::Registry;

use crate::completion::elapsed;
use crate::control::ControlStatus;
use crate::state::State;

mod export;
mod histogram;

use export::Exporter;
use histogram::Histogram;

/// Labels of [`Operation`], in the order of `operation_index`.
const OPERATIONS: [&str; 8] =
    ["messages", "count_tokens", "chat_completions", "responses", "compact", "embeddings", "models", "other"];

/// Labels of the status class as answered; `none` = the client left before.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Labels of [`Outcome`], in the order of `outcome_index`.
const OUTCOMES: [&str; 12] = [
    "success",
    "quota_exhausted",
    "throttled",
    "windowless",
    "overloaded",
    "credential_rejected",
    "forbidden",
    "model_unavailable",
    "client_fault",
    "server_fault",
    "unreachable",
    "client_left",
];

/// Labels of the token classes, in the order of [`Metrics::request_ended`].
const TOKENS: [&str; 6] = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"];

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [[AtomicU64; CLASSES.len()]; OPERATIONS.len()],
    endings: [AtomicU64; 4],
    attempts: [AtomicU64; OUTCOMES.len()],
    tokens: [AtomicU64; TOKENS.len()],
    first_byte: Histogram,
    total: Histogram,
    open_requests: AtomicI64,
    open_connections: AtomicI64,
    failed_connections: AtomicU64,
}

/// Counts a connection for as long as it is open.
pub(crate) struct OpenConnection<'a>(&'a AtomicI64);

impl Metrics {
    pub(crate) fn request_started(&self) {
        self.open_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// From the request's head to the first byte of its answer.
    pub(crate) fn first_byte(&self, after: Duration) {
        self.first_byte.observe(after);
    }

    pub(crate) fn attempted(&self, outcome: &Outcome) {
        self.attempts[outcome_index(outcome)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request_ended(&self, operation: Operation, event: &Event) {
        let class = usize::from(event.status / 100).min(CLASSES.len() - 1);
        self.requests[operation_index(operation)][class].fetch_add(1, Ordering::Relaxed);
        self.endings[event.ending as usize].fetch_add(1, Ordering::Relaxed);
        let usage = event.usage;
        let tokens = [
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_5m_tokens,
            usage.cache_write_1h_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        ];
        for (counter, count) in self.tokens.iter().zip(tokens).filter(|(_, count)| *count > 0) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        self.total.observe(elapsed(event.received_at, event.finished_at));
        self.open_requests.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_opened(&self) -> OpenConnection<'_> {
        self.open_connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(&self.open_connections)
    }

    pub(crate) fn connection_failed(&self) {
        self.failed_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that are running now.
    pub(crate) fn open_requests(&self) -> i64 {
        self.open_requests.load(Ordering::Relaxed)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All metrics as text, in the format that Prometheus scrapes.
pub(crate) fn render(state: &Arc<State>, control: ControlStatus) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("penstock");
    registry.register_collector(Box::new(Exporter::new(Arc::clone(state), control)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

fn operation_index(operation: Operation) -> usize {
    match operation {
        Operation::Messages => 0,
        Operation::CountTokens => 1,
        Operation::ChatCompletions => 2,
        Operation::Responses => 3,
        Operation::Compact => 4,
        Operation::Embeddings => 5,
        Operation::Models => 6,
        Operation::Other => 7,
    }
}

fn outcome_index(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::QuotaExhausted { .. } => 1,
        Outcome::Throttled { .. } => 2,
        Outcome::Windowless => 3,
        Outcome::Overloaded { .. } => 4,
        Outcome::CredentialRejected => 5,
        Outcome::Forbidden => 6,
        Outcome::ModelUnavailable => 7,
        Outcome::ClientFault => 8,
        Outcome::ServerFault => 9,
        Outcome::Unreachable(_) => 10,
        Outcome::ClientLeft => 11,
    }
}
