//! Sums of rows by the minute, the hour and the day (UTC), kept in the transaction that stores the rows.
//!
//! Only rows that were really stored are added, so the sums always equal a recount. Lines are written in
//! the order of their keys by every writer, so writers never wait for each other in a circle.

pub mod histogram;

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use penstock_proto::event::Event;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use self::histogram::{BUCKETS, bucket_of};
use super::day::time_of;
use super::error::StoreError;
use super::write::encode::{clip, failed, number};

/// What the lines of one table are to grow by.
pub(super) type Lines<'a> = BTreeMap<Key<'a>, Sums>;

/// What a line is about. The order of the fields is the order of the tables' primary key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    bucket: Timestamp,
    account: &'a str,
    provider: &'a str,
    model: &'a str,
    status: i16,
    ending: &'static str,
    /// Namespace, `ServiceAccount`, name of the client key.
    caller: [&'a str; 3],
    failed: bool,
}

/// What a line sums up; the columns of the tables have the same names.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    requests: i64,
    input_tokens: i64,
    cache_read_tokens: i64,
    cache_write_5m_tokens: i64,
    cache_write_1h_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    cost_nano_usd: i64,
    unpriced: i64,
    duration_ms: i64,
    first_byte_ms: i64,
    first_bytes: i64,
    generation_ms: i64,
    generated_tokens: i64,
    durations: [i64; BUCKETS],
}

/// One of the tables.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Minute,
    Hour,
    Day,
}

const KEYS: &str = "bucket, account, provider, model, status, ending, \
    caller_namespace, caller_service_account, caller_key";

const SUMS: [&str; 14] = [
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nano_usd",
    "unpriced",
    "duration_ms",
    "first_byte_ms",
    "first_bytes",
    "generation_ms",
    "generated_tokens",
];

const TYPES: [Type; 25] = [
    Type::TIMESTAMPTZ,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT2,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::BOOL,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8_ARRAY,
];

impl Table {
    /// All of them, in the order in which every writer takes them.
    pub(super) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// As SQL calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Minute => "rollup_minute",
            Self::Hour => "rollup_hour",
            Self::Day => "rollup_day",
        }
    }

    /// The temporary table of this connection that takes the lines.
    pub(super) fn staging(self) -> &'static str {
        match self {
            Self::Minute => "staged_minutes",
            Self::Hour => "staged_hours",
            Self::Day => "staged_days",
        }
    }

    fn bucket_of(self, at: Timestamp) -> Timestamp {
        let width = match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        };
        let second = at.as_second().div_euclid(width) * width;
        Timestamp::from_second(second).unwrap_or(at)
    }

    /// What these events add.
    pub(super) fn lines<'a>(self, events: impl Iterator<Item = (&'a Event, Option<i64>)>) -> Lines<'a> {
        let mut lines = Lines::new();
        for (event, cost) in events {
            let Some(at) = time_of(event.id) else { continue };
            lines.entry(Key::of(event, self.bucket_of(at))).or_default().add(event, cost);
        }
        lines
    }

    /// Adds the lines to the table.
    pub(super) async fn add(self, tx: &Transaction<'_>, lines: &Lines<'_>) -> Result<(), StoreError> {
        let step = "add to the sums";
        let columns = format!("{KEYS}, failed, {}, durations", SUMS.join(", "));
        let copy = format!("COPY {} ({columns}) FROM STDIN BINARY", self.staging());
        let sink = tx.copy_in(&copy).await.map_err(StoreError::at(step))?;
        let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &TYPES));
        for (key, sums) in lines {
            let durations = sums.durations.as_slice();
            let values = values(key, sums, &durations);
            writer.as_mut().write(&values).await.map_err(StoreError::at(step))?;
        }
        writer.finish().await.map_err(StoreError::at(step))?;
        tx.batch_execute(&self.upsert(&columns)).await.map_err(StoreError::at(step))
    }

    fn upsert(self, columns: &str) -> String {
        let name = self.name();
        let sums = SUMS.map(|sum| format!("{sum} = {name}.{sum} + excluded.{sum}")).join(", ");
        let durations = (1..=BUCKETS).map(|i| format!("{name}.durations[{i}] + excluded.durations[{i}]"));
        let durations = durations.collect::<Vec<_>>().join(", ");
        format!(
            "INSERT INTO {name} ({columns}) SELECT {columns} FROM {staging} \
             ON CONFLICT ({KEYS}) DO UPDATE SET {sums}, durations = ARRAY[{durations}]",
            staging = self.staging(),
        )
    }
}

impl<'a> Key<'a> {
    fn of(event: &'a Event, bucket: Timestamp) -> Self {
        let caller = &event.caller;
        let models = [&event.model_answered, &event.model_sent, &event.model_asked];
        let model = models.into_iter().find(|model| !model.is_empty()).map_or("", String::as_str);
        Self {
            bucket,
            account: event.account.as_ref().map_or("", |id| id.as_str()),
            provider: clip(&event.provider),
            model: clip(model),
            status: i16::try_from(event.status).unwrap_or(i16::MAX),
            ending: event.ending.as_label(),
            caller: [clip(&caller.namespace), clip(&caller.service_account), clip(&caller.key)],
            failed: failed(event),
        }
    }
}

impl Sums {
    fn add(&mut self, event: &Event, cost: Option<i64>) {
        let usage = &event.usage;
        let generated = number(usage.output_tokens) + number(usage.reasoning_tokens);
        let duration = millis(event.received_at, event.finished_at);
        let first_byte = event.first_byte_at.map(|at| millis(event.received_at, at));
        // What is not streamed arrives at once: all of the time went into generating it.
        let generation = match first_byte {
            Some(first_byte) if event.stream => (duration - first_byte).max(0),
            _ => duration,
        };
        self.requests += 1;
        self.input_tokens += number(usage.input_tokens);
        self.cache_read_tokens += number(usage.cache_read_tokens);
        self.cache_write_5m_tokens += number(usage.cache_write_5m_tokens);
        self.cache_write_1h_tokens += number(usage.cache_write_1h_tokens);
        self.output_tokens += number(usage.output_tokens);
        self.reasoning_tokens += number(usage.reasoning_tokens);
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(cost.unwrap_or_default());
        self.unpriced += i64::from(cost.is_none() && usage.total() > 0);
        self.duration_ms += duration;
        self.first_byte_ms += first_byte.unwrap_or_default();
        self.first_bytes += i64::from(first_byte.is_some());
        if generated > 0 && generation > 0 {
            self.generation_ms += generation;
            self.generated_tokens += generated;
        }
        if let Some(bucket) = self.durations.get_mut(bucket_of(duration.unsigned_abs())) {
            *bucket += 1;
        }
    }
}

/// Milliseconds from one instant to another; a clock that went backwards counts as none.
fn millis(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.duration_since(from).as_millis()).unwrap_or(i64::MAX).clamp(0, MAX_MILLIS)
}

/// A year: longer than any request, and short enough that sums do not overflow.
const MAX_MILLIS: i64 = 365 * 24 * 3600 * 1000;

fn values<'a>(key: &'a Key<'a>, sums: &'a Sums, durations: &'a &[i64]) -> [&'a (dyn ToSql + Sync); 25] {
    let [namespace, service_account, client_key] = &key.caller;
    [
        &key.bucket,
        &key.account,
        &key.provider,
        &key.model,
        &key.status,
        &key.ending,
        namespace,
        service_account,
        client_key,
        &key.failed,
        &sums.requests,
        &sums.input_tokens,
        &sums.cache_read_tokens,
        &sums.cache_write_5m_tokens,
        &sums.cache_write_1h_tokens,
        &sums.output_tokens,
        &sums.reasoning_tokens,
        &sums.cost_nano_usd,
        &sums.unpriced,
        &sums.duration_ms,
        &sums.first_byte_ms,
        &sums.first_bytes,
        &sums.generation_ms,
        &sums.generated_tokens,
        durations,
    ]
}
