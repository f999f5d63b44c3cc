//! A history row as the API shows it, made from an event or read back from the table.
//!
//! Never decides what a row means: that is done by the proxy that wrote the event.

use jiff::Timestamp;
use penstock_proto::event::{Attempt, Event};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

/// One accepted request, however it ended. Empty strings are values that are not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRow {
    /// `UUIDv7`; also answered to the client as `x-penstock-request-id`.
    pub id: Uuid,
    /// When the request head was read.
    pub received_at: Timestamp,
    /// When the first byte of the answer was sent.
    pub first_byte_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Timestamp,
    /// Who asked.
    pub caller: CallerRow,
    /// HTTP method.
    pub method: String,
    /// Path as received, without the query.
    pub path: String,
    /// `namespace/name` of the account whose answer was relayed.
    pub account: String,
    /// That account's provider.
    pub provider: String,
    /// Model as the client wrote it.
    pub model_asked: String,
    /// Model as sent to the account.
    pub model_sent: String,
    /// Model as the provider answered.
    pub model_answered: String,
    /// Hash of the affinity key.
    pub session: String,
    /// HTTP status as answered; 0 = the client left before.
    pub status: u16,
    /// `complete`, `truncated`, `error` or `client_left`.
    pub ending: String,
    /// Every try, in order.
    pub attempts: Vec<AttemptRow>,
    /// Prompt tokens neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to a cache that lives 5 minutes.
    pub cache_write_5m_tokens: u64,
    /// Prompt tokens written to a cache that lives an hour.
    pub cache_write_1h_tokens: u64,
    /// Generated tokens without reasoning.
    pub output_tokens: u64,
    /// Generated tokens reported as reasoning.
    pub reasoning_tokens: u64,
    /// `reported`, `estimated` or `none`.
    pub usage_source: String,
    /// Cost in US dollars; `null` when the model has no price.
    pub cost_usd: Option<f64>,
    /// W3C trace id, 32 hex digits.
    pub trace_id: String,
    /// Tokens of `x-penstock-warnings`.
    pub warnings: Vec<String>,
    /// The client's request format, e.g. `anthropic-messages`.
    pub dialect: String,
    /// `namespace/name` of the pool that served.
    pub pool: String,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Why it failed, for people.
    pub error: String,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
}

/// Who asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallerRow {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// `ServiceAccount` name.
    pub service_account: String,
    /// Name of the client key, never the key.
    pub key: String,
}

/// One try on one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRow {
    /// `namespace/name` of the account.
    pub account: String,
    /// What the answer meant, e.g. `success`, `quota_exhausted`.
    pub outcome: String,
    /// HTTP status; 0 = there was no answer.
    pub status: u16,
    /// From sending to the verdict, milliseconds.
    pub duration_ms: u64,
    /// The model as sent.
    #[serde(default)]
    pub model: String,
}

impl RequestRow {
    /// The columns that [`RequestRow::read`] expects, in its order.
    pub(super) const COLUMNS: &str = "id, received_at, first_byte_at, finished_at, \
        caller_namespace, caller_pod, caller_service_account, caller_key, method, path, account, provider, \
        model_asked, model_sent, model_answered, session, status, ending, attempts, \
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, \
        reasoning_tokens, usage_source, cost_nano_usd, trace_id, warnings, \
        dialect, pool, stream, error, request_bytes, response_bytes";

    /// The row that will be stored for an event, with its cost in nano-dollars.
    pub fn of(event: &Event, cost_nano_usd: Option<i64>) -> Self {
        let id_text = |id: &Option<penstock_proto::ids::ObjectId>| {
            id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default()
        };
        Self {
            id: event.id,
            received_at: event.received_at,
            first_byte_at: event.first_byte_at,
            finished_at: event.finished_at,
            caller: CallerRow {
                namespace: event.caller.namespace.clone(),
                pod: event.caller.pod.clone(),
                service_account: event.caller.service_account.clone(),
                key: event.caller.key.clone(),
            },
            method: event.method.clone(),
            path: event.path.clone(),
            account: id_text(&event.account),
            provider: event.provider.clone(),
            model_asked: event.model_asked.clone(),
            model_sent: event.model_sent.clone(),
            model_answered: event.model_answered.clone(),
            session: event.session.clone(),
            status: event.status,
            ending: event.ending.as_label().to_owned(),
            attempts: event.attempts.iter().map(AttemptRow::of).collect(),
            input_tokens: event.usage.input_tokens,
            cache_read_tokens: event.usage.cache_read_tokens,
            cache_write_5m_tokens: event.usage.cache_write_5m_tokens,
            cache_write_1h_tokens: event.usage.cache_write_1h_tokens,
            output_tokens: event.usage.output_tokens,
            reasoning_tokens: event.usage.reasoning_tokens,
            usage_source: event.usage_source.as_label().to_owned(),
            cost_usd: cost_nano_usd.map(usd),
            trace_id: event.trace_id.clone(),
            warnings: event.warnings.clone(),
            dialect: event.dialect.map(|dialect| dialect.as_label().to_owned()).unwrap_or_default(),
            pool: id_text(&event.pool),
            stream: event.stream,
            error: event.error.clone(),
            request_bytes: event.request_bytes,
            response_bytes: event.response_bytes,
        }
    }

    /// Reads a row selected with [`RequestRow::COLUMNS`].
    pub(super) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let mut cells = Cells { row, next: 0 };
        Ok(Self {
            id: cells.take()?,
            received_at: cells.take()?,
            first_byte_at: cells.take()?,
            finished_at: cells.take()?,
            caller: CallerRow {
                namespace: cells.take()?,
                pod: cells.take()?,
                service_account: cells.take()?,
                key: cells.take()?,
            },
            method: cells.take()?,
            path: cells.take()?,
            account: cells.take()?,
            provider: cells.take()?,
            model_asked: cells.take()?,
            model_sent: cells.take()?,
            model_answered: cells.take()?,
            session: cells.take()?,
            status: u16::try_from(cells.take::<i16>()?).unwrap_or_default(),
            ending: cells.take()?,
            attempts: cells.take::<Json<_>>()?.0,
            input_tokens: cells.count()?,
            cache_read_tokens: cells.count()?,
            cache_write_5m_tokens: cells.count()?,
            cache_write_1h_tokens: cells.count()?,
            output_tokens: cells.count()?,
            reasoning_tokens: cells.count()?,
            usage_source: cells.take()?,
            cost_usd: cells.take::<Option<i64>>()?.map(usd),
            trace_id: cells.take::<Option<Uuid>>()?.map(|id| id.simple().to_string()).unwrap_or_default(),
            warnings: cells.take::<Json<_>>()?.0,
            dialect: cells.take()?,
            pool: cells.take()?,
            stream: cells.take()?,
            error: cells.take()?,
            request_bytes: cells.count()?,
            response_bytes: cells.count()?,
        })
    }
}

impl AttemptRow {
    fn of(attempt: &Attempt) -> Self {
        // No `..`: a new field must decide whether it is shown.
        let Attempt { account, outcome, status, duration_ms, model } = attempt;
        Self {
            account: account.as_str().to_owned(),
            outcome: outcome.clone(),
            status: *status,
            duration_ms: *duration_ms,
            model: model.clone(),
        }
    }
}

/// Dollars of an amount in nano-dollars.
#[expect(clippy::cast_precision_loss, reason = "exact up to nine million dollars, to the nano-dollar")]
pub(super) fn usd(nano: i64) -> f64 {
    nano as f64 / 1e9
}

/// Reads a row's columns from left to right.
struct Cells<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Cells<'a> {
    fn take<T: tokio_postgres::types::FromSql<'a>>(&mut self) -> Result<T, tokio_postgres::Error> {
        self.next += 1;
        self.row.try_get(self.next - 1)
    }

    fn count(&mut self) -> Result<u64, tokio_postgres::Error> {
        Ok(u64::try_from(self.take::<i64>()?).unwrap_or_default())
    }
}
