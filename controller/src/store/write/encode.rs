//! An event as the columns of its row.
//!
//! Whatever an event holds, its row can be stored: texts are cut before what Postgres cannot hold, numbers
//! are clamped. One odd event must not keep a batch from being stored.

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use penstock_proto::event::{Ending, Event};
use serde::Serialize;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::Priced;

/// Longest name, bytes: with all names of a line of the sums well below what an index entry may have.
const MAX_NAME: usize = 200;
/// Longest path or error, bytes.
const MAX_TEXT: usize = 4096;
/// A trillion: more tokens or bytes than a request can have, and small enough that sums do not overflow.
const MAX_NUMBER: u64 = 1_000_000_000_000;

const WIDTH: usize = 36;

/// The columns in the order of [`Encoded::values`].
const COLUMNS: [(&str, Type); WIDTH] = [
    ("id", Type::UUID),
    ("received_at", Type::TIMESTAMPTZ),
    ("first_byte_at", Type::TIMESTAMPTZ),
    ("finished_at", Type::TIMESTAMPTZ),
    ("input_tokens", Type::INT8),
    ("cache_read_tokens", Type::INT8),
    ("cache_write_5m_tokens", Type::INT8),
    ("cache_write_1h_tokens", Type::INT8),
    ("output_tokens", Type::INT8),
    ("reasoning_tokens", Type::INT8),
    ("cost_nano_usd", Type::INT8),
    ("request_bytes", Type::INT8),
    ("response_bytes", Type::INT8),
    ("trace_id", Type::UUID),
    ("status", Type::INT2),
    ("stream", Type::BOOL),
    ("failed", Type::BOOL),
    ("ending", Type::TEXT),
    ("usage_source", Type::TEXT),
    ("method", Type::TEXT),
    ("path", Type::TEXT),
    ("dialect", Type::TEXT),
    ("pool", Type::TEXT),
    ("account", Type::TEXT),
    ("provider", Type::TEXT),
    ("model_asked", Type::TEXT),
    ("model_sent", Type::TEXT),
    ("model_answered", Type::TEXT),
    ("session", Type::TEXT),
    ("caller_namespace", Type::TEXT),
    ("caller_pod", Type::TEXT),
    ("caller_service_account", Type::TEXT),
    ("caller_key", Type::TEXT),
    ("error", Type::TEXT),
    ("attempts", Type::JSONB),
    ("warnings", Type::JSONB),
];

/// The names of the columns, for SQL.
pub(super) fn columns() -> String {
    COLUMNS.map(|(name, _)| name).join(", ")
}

/// The types of the columns.
pub(super) fn types() -> [Type; WIDTH] {
    COLUMNS.map(|(_, kind)| kind)
}

/// The values of one row.
pub(super) struct Encoded<'a> {
    id: Uuid,
    times: (Timestamp, Option<Timestamp>, Timestamp),
    tokens: [i64; 6],
    cost_nano_usd: Option<i64>,
    bytes: [i64; 2],
    trace_id: Option<Uuid>,
    status: i16,
    flags: [bool; 2],
    texts: [&'a str; 17],
    attempts: RawJson,
    warnings: RawJson,
}

impl<'a> Encoded<'a> {
    pub(super) fn of(priced: &'a Priced) -> Self {
        let Priced { event, cost_nano_usd } = priced;
        let (usage, caller) = (&event.usage, &event.caller);
        Self {
            id: event.id,
            times: (time(event.received_at), event.first_byte_at.map(time), time(event.finished_at)),
            tokens: [
                number(usage.input_tokens),
                number(usage.cache_read_tokens),
                number(usage.cache_write_5m_tokens),
                number(usage.cache_write_1h_tokens),
                number(usage.output_tokens),
                number(usage.reasoning_tokens),
            ],
            cost_nano_usd: *cost_nano_usd,
            bytes: [number(event.request_bytes), number(event.response_bytes)],
            trace_id: Uuid::try_parse(&event.trace_id).ok(),
            status: i16::try_from(event.status).unwrap_or(i16::MAX),
            flags: [event.stream, failed(event)],
            texts: [
                event.ending.as_label(),
                event.usage_source.as_label(),
                clip(&event.method),
                cut(&event.path, MAX_TEXT),
                event.dialect.map_or("", |dialect| dialect.as_label()),
                event.pool.as_ref().map_or("", |id| id.as_str()),
                event.account.as_ref().map_or("", |id| id.as_str()),
                clip(&event.provider),
                clip(&event.model_asked),
                clip(&event.model_sent),
                clip(&event.model_answered),
                clip(&event.session),
                clip(&caller.namespace),
                clip(&caller.pod),
                clip(&caller.service_account),
                clip(&caller.key),
                cut(&event.error, MAX_TEXT),
            ],
            attempts: RawJson::of(&event.attempts),
            warnings: RawJson::of(&event.warnings),
        }
    }

    /// The values, in the order of the columns.
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); WIDTH] {
        let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = &self.tokens;
        let [request_bytes, response_bytes] = &self.bytes;
        let [stream, failed] = &self.flags;
        let [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15, t16] = &self.texts;
        #[rustfmt::skip]
        let values: [&(dyn ToSql + Sync); WIDTH] = [
            &self.id, &self.times.0, &self.times.1, &self.times.2,
            input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, &self.cost_nano_usd,
            request_bytes, response_bytes, &self.trace_id, &self.status, stream, failed,
            t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15, t16,
            &self.attempts, &self.warnings,
        ];
        values
    }
}

/// A name, cut to what a column of names may hold.
pub(in crate::store) fn clip(text: &str) -> &str {
    cut(text, MAX_NAME)
}

/// A count, clamped to what a column may hold.
pub(in crate::store) fn number(value: u64) -> i64 {
    i64::try_from(value.min(MAX_NUMBER)).unwrap_or_default()
}

/// Whether a row counts as failed: answered with an error, or cut.
pub(in crate::store) fn failed(event: &Event) -> bool {
    match event.ending {
        Ending::Truncated | Ending::Error => true,
        Ending::Complete | Ending::ClientLeft => event.status >= 400,
    }
}

/// The text up to a length in bytes, and before a NUL, which Postgres cannot hold.
fn cut(text: &str, max: usize) -> &str {
    let end = text.find('\0').unwrap_or(text.len()).min(max);
    text.get(..text.floor_char_boundary(end)).unwrap_or_default()
}

/// Postgres has years before ours, jiff has years before Postgres.
fn time(at: Timestamp) -> Timestamp {
    at.max(Timestamp::UNIX_EPOCH)
}

/// JSON text, sent as it is.
#[derive(Debug)]
struct RawJson(String);

impl RawJson {
    fn of<T: Serialize>(value: &[T]) -> Self {
        if value.is_empty() {
            return Self("[]".to_owned());
        }
        let text = serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned());
        // The one escape that jsonb refuses.
        Self(if text.contains("\\u0000") { text.replace("\\u0000", "\\ufffd") } else { text })
    }
}

impl ToSql for RawJson {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        // The version of jsonb's binary format; the rest is text.
        out.put_u8(1);
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_before_a_nul() {
        assert_eq!(cut("größe", 3), "gr");
        assert_eq!(cut("a\0b", 10), "a");
        assert_eq!(clip(&"x".repeat(500)).len(), MAX_NAME);
    }

    #[test]
    fn a_nul_in_json_is_replaced() {
        assert_eq!(RawJson::of(&["a\0b"]).0, "[\"a\\ufffdb\"]");
    }

    #[test]
    fn a_count_stays_where_sums_cannot_overflow() {
        assert_eq!(number(u64::MAX), 1_000_000_000_000);
        assert_eq!(number(7), 7);
    }
}
