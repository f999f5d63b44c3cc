//! How many rows a second the history takes: batches as proxies send them, through the ingest queue, into a
//! private Postgres with its durability on. Prints a rate; judges nothing.
//!
//! `cargo bench -p penstock-controller --bench ingest [-- ROWS]`

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use penstock_controller::ingest;
use penstock_controller::store::Store;
use penstock_controller::store::embedded::Embedded;
use penstock_proto::event::{Attempt, Caller, Ending, Event};
use penstock_proto::usage::{Usage, UsageSource};
use tokio_util::sync::CancellationToken;
use uuid::{Builder, Uuid};

/// Rows without an argument.
const ROWS: u64 = 600_000;
/// Events of one batch: what a busy proxy sends at once.
const BATCH: u64 = 500;
/// Proxies that send at the same time.
const PROXIES: usize = 32;
/// Requests a second that the rows pretend to be of.
const RATE: u64 = 2_000;

#[tokio::main]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`.
    let rows = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(ROWS);
    let folder = tempfile::tempdir()?;
    let postgres = Embedded::start(folder.path()).await?;
    let store = Store::new(&postgres.connection())?;
    store.migrate().await?;
    let price = Arc::new(|event: &Event| i64::try_from(event.usage.total()).ok());
    let (ingest, ingester) = ingest::channel(store.clone(), price);
    let (stop_ingest, stop_postgres) = (CancellationToken::new(), CancellationToken::new());
    let work = async {
        let seconds = send(&ingest, rows).await;
        report(&ingest, rows, seconds);
        let asked = Instant::now();
        let size = store.size().await;
        println!("{size:?}, told in {:.0} ms", asked.elapsed().as_secs_f64() * 1e3);
        stop_ingest.cancel();
    };
    let ((), ()) = tokio::join!(work, ingester.run(stop_ingest.clone()));
    stop_postgres.cancel();
    postgres.run(stop_postgres).await;
    let [own, postgres] = cpu_seconds()?.map(|seconds| seconds * 1e6 / rows as f64);
    println!("CPU time of a row: {own:.1} µs here, {postgres:.1} µs in Postgres");
    Ok(())
}

async fn send(ingest: &ingest::Ingest, rows: u64) -> f64 {
    let start = Timestamp::now();
    let begun = Instant::now();
    let batches = stream::iter(0..rows.div_ceil(BATCH));
    let sends = batches.map(|batch| async move {
        let events = (batch * BATCH..((batch + 1) * BATCH).min(rows)).map(|seq| event(seq, start)).collect();
        ingest.submit(events).await.expect("the database is there, and the queue is long enough");
    });
    sends.buffer_unordered(PROXIES).count().await;
    begun.elapsed().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn report(ingest: &ingest::Ingest, rows: u64, seconds: f64) {
    let writes = ingest.counters().writes.load(Ordering::Relaxed);
    println!("{rows} rows in {seconds:.2} s, {writes} transactions: {:.0} rows/s", rows as f64 / seconds);
}

/// Used by this process, and by Postgres, which has ended. `proc(5)`; a tick is 10 ms.
fn cpu_seconds() -> std::io::Result<[f64; 2]> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    Ok([(ticks(11) + ticks(12)) / 100.0, (ticks(13) + ticks(14)) / 100.0])
}

/// A row of usual size, in variety: 12 accounts, 5 models, 8 callers.
fn event(seq: u64, start: Timestamp) -> Event {
    let at = Timestamp::from_millisecond(start.as_millisecond() + (seq * 1_000 / RATE).cast_signed());
    let received_at = at.unwrap_or(start);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&seq.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let id = Builder::from_unix_timestamp_millis(received_at.as_millisecond().unsigned_abs(), &random);
    let account: penstock_proto::ids::AccountId =
        format!("llm/claude-team-{}", seq % 12).parse().expect("a name");
    let model = format!("claude-model-{}-20260101", seq % 5);
    let duration = 400 + seq * 7919 % 20_000;
    let later =
        |millis: u64| Timestamp::from_millisecond(received_at.as_millisecond() + millis.cast_signed());
    Event {
        id: id.into_uuid(),
        received_at,
        first_byte_at: later(duration / 4).ok(),
        finished_at: later(duration).unwrap_or(received_at),
        caller: Caller {
            namespace: "search".into(),
            pod: format!("indexer-7d9f8c6b5-x{}", seq % 40),
            service_account: format!("indexer-{}", seq % 8),
            key: String::new(),
        },
        method: "POST".into(),
        path: "/v1/anthropic/v1/messages".into(),
        dialect: Some(penstock_proto::dialect::Dialect::AnthropicMessages),
        pool: "llm/default".parse().ok(),
        account: Some(account.clone()),
        provider: "anthropic".into(),
        model_asked: model.clone(),
        model_sent: model.clone(),
        model_answered: model.clone(),
        session: Uuid::from_u64_pair(seq % 5_000, 7).simple().to_string(),
        status: if seq.is_multiple_of(50) { 429 } else { 200 },
        ending: if seq.is_multiple_of(50) { Ending::Error } else { Ending::Complete },
        stream: true,
        attempts: vec![Attempt { account, outcome: "success".into(), status: 200, duration_ms: 400, model }],
        usage: Usage { input_tokens: 300, cache_read_tokens: 40_000, output_tokens: 700, ..Usage::default() },
        usage_source: UsageSource::Reported,
        trace_id: Uuid::from_u64_pair(seq, 9).simple().to_string(),
        warnings: Vec::new(),
        error: String::new(),
        request_bytes: 260_000,
        response_bytes: 9_000,
    }
}
