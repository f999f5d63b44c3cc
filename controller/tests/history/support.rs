//! One private Postgres for all tests of the process, a database of its own for each, and events.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use penstock_controller::store::Store;
use penstock_controller::store::embedded::Embedded;
use penstock_controller::store::write::Priced;
use penstock_proto::event::{Attempt, Caller, Ending, Event};
use penstock_proto::usage::{Usage, UsageSource};
use tokio_postgres::{Config, NoTls, Row};
use tokio_util::sync::CancellationToken;
use uuid::{Builder, Uuid};

/// A database with nothing in it, and its address.
pub(crate) struct Database {
    pub(crate) config: Config,
    pub(crate) store: Store,
}

/// A database of its own, with the tables.
pub(crate) async fn database() -> Database {
    let database = empty_database().await;
    database.store.migrate().await.expect("migrated");
    database
}

/// A database of its own, without tables.
pub(crate) async fn empty_database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut config = shared_postgres().clone();
    query(&config, &format!("CREATE DATABASE {name}")).await;
    config.dbname(&name);
    let store = Store::new(&config).expect("a pool");
    Database { config, store }
}

impl Database {
    /// Runs SQL of the test's own.
    pub(crate) async fn query(&self, sql: &str) -> Vec<Row> {
        query(&self.config, sql).await
    }

    /// One number of the test's own.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.query(sql).await.first().expect("a row").get(0)
    }
}

pub(crate) async fn query(config: &Config, sql: &str) -> Vec<Row> {
    let (client, connection) = config.connect(NoTls).await.expect("connected");
    tokio::select! {
        rows = client.query(sql, &[]) => rows.expect("a right statement"),
        ended = connection => panic!("the connection ended: {ended:?}"),
    }
}

/// Started once, on a thread of its own; a guard ends it with this process, however that ends.
fn shared_postgres() -> &'static Config {
    static POSTGRES: OnceLock<Config> = OnceLock::new();
    POSTGRES.get_or_init(|| {
        let (started, starting) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let data = guarded_folder();
                let postgres = Embedded::start(&data).await.expect("Postgres starts");
                started.send(postgres.connection()).expect("somebody waits");
                postgres.run(CancellationToken::new()).await;
            });
        });
        starting.recv().expect("Postgres starts")
    })
}

/// A folder for a data folder, which is removed after this process, together with the Postgres in it.
fn guarded_folder() -> PathBuf {
    let folder = tempfile::tempdir().expect("a folder").keep();
    // `cat` ends when the pipe does, and the pipe does when this process does.
    let script = "cat; pid=$(head -n 1 \"$0/postgres/postmaster.pid\") && kill -QUIT \"$pid\"; \
        while kill -0 \"$pid\" 2>/dev/null; do :; done; rm -rf \"$0\"";
    let mut guard = Command::new("sh");
    guard.arg("-c").arg(script).arg(&folder).stdin(Stdio::piped()).stdout(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut guard, 0);
    std::mem::forget(guard.spawn().expect("a guard"));
    folder
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// The `UUIDv7` of a millisecond, the `seq`-th of it.
pub(crate) fn id_at(at: Timestamp, seq: u64) -> Uuid {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&seq.to_be_bytes());
    Builder::from_unix_timestamp_millis(at.as_millisecond().unsigned_abs(), &random).into_uuid()
}

/// A request that went well: 1.5 s on account `llm/a`, 100 tokens in, 10 out, 50 from the cache.
pub(crate) fn event(received_at: Timestamp, seq: u64) -> Event {
    let later = |millis| Timestamp::from_millisecond(received_at.as_millisecond() + millis).expect("a time");
    let account: penstock_proto::ids::AccountId = "llm/a".parse().expect("a name");
    let model = "claude-opus-5".to_owned();
    Event {
        id: id_at(received_at, seq),
        received_at,
        first_byte_at: Some(later(500)),
        finished_at: later(1_500),
        caller: Caller {
            namespace: "search".into(),
            pod: "indexer-1".into(),
            service_account: "indexer".into(),
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
        session: "s1".into(),
        status: 200,
        ending: Ending::Complete,
        stream: true,
        attempts: vec![Attempt { account, outcome: "success".into(), status: 200, duration_ms: 500, model }],
        usage: Usage { input_tokens: 100, cache_read_tokens: 50, output_tokens: 10, ..Usage::default() },
        usage_source: UsageSource::Reported,
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        warnings: vec!["dropped_field".into()],
        error: String::new(),
        request_bytes: 1_000,
        response_bytes: 200,
    }
}

/// With a price: a dollar.
pub(crate) fn priced(event: Event) -> Priced {
    Priced { event, cost_nano_usd: Some(1_000_000_000) }
}

/// This many requests, a second apart.
pub(crate) fn events(from: Timestamp, count: u64) -> Vec<Event> {
    let second = |seq: u64| Timestamp::from_second(from.as_second() + seq.cast_signed()).expect("a time");
    (0..count).map(|seq| event(second(seq), seq)).collect()
}
