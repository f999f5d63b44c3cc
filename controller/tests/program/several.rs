//! Several controllers on one Postgres: none of them has to live, and no row is lost or doubled.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use penstock_controller::store::embedded::Embedded;
use penstock_proto::event::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{RwLock, watch};
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::process::Process;
use crate::reporting::{Reporting, event, subscribe};

/// Proxies that report at the same time.
const PROXIES: usize = 6;
/// Batches of one proxy.
const BATCHES: usize = 20;
/// Events of one batch.
const EVENTS: usize = 50;

/// Where a controller is at the moment; it changes when it is killed and started anew.
struct Replica {
    folder: PathBuf,
    process: RwLock<Process>,
}

impl Replica {
    async fn start(folder: PathBuf, url: &str) -> Self {
        let process = RwLock::new(Process::start(&folder, &["--database-url", url]).await);
        Self { folder, process }
    }

    async fn reporting(&self) -> Option<Reporting> {
        let grpc = self.process.read().await.grpc.clone();
        Reporting::try_open(&grpc, &self.folder.join("data")).await
    }

    /// As a node that dies, and a new pod.
    async fn kill_and_start(&self, url: &str) {
        let mut process = self.process.write().await;
        process.signal("KILL");
        *process = Process::start(&self.folder, &["--database-url", url]).await;
    }
}

/// The address of the private Postgres in this folder; it need not run yet.
fn url_of(folder: &Path) -> String {
    format!("host={} user=penstock dbname=postgres", folder.join("postgres").display())
}

async fn numbers<const N: usize>(url: &str, sql: &str) -> [i64; N] {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::select! {
        row = client.query_one(sql, &[]) => row.map(|row| std::array::from_fn(|n| row.get(n))).unwrap(),
        ended = connection => panic!("the connection ended: {ended:?}"),
    }
}

/// What a proxy does: sends each batch until it is confirmed, to whichever controller takes it. Every third
/// batch goes to both at once, as if the first one's answer had been lost.
async fn deliver(proxy: usize, batches: &[Vec<Event>], replicas: &[Replica; 2], done: &watch::Sender<usize>) {
    let mut turn = proxy;
    let mut streams = [const { None }; 2];
    for (id, batch) in (0..).zip(batches) {
        let twice = id % 3 == 0;
        let mut confirmed = false;
        while !confirmed {
            for (stream, replica) in streams.iter_mut().zip(replicas) {
                if stream.is_none() {
                    *stream = replica.reporting().await;
                }
            }
            turn += 1;
            let order = [turn % 2, (turn + 1) % 2];
            let targets = &order[..if twice { 2 } else { 1 }];
            for n in targets {
                if let Some(stream) = &streams[*n] {
                    stream.send(id, batch).await;
                }
            }
            for n in targets {
                let Some(stream) = &mut streams[*n] else { continue };
                match stream.answer().await {
                    Some(Ok(stored)) => {
                        assert_eq!(stored, id);
                        confirmed = true;
                    }
                    Some(Err(busy)) => assert_eq!(busy, id),
                    None => streams[*n] = None,
                }
            }
        }
        done.send_modify(|count| *count += 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_controllers_on_one_postgres_nothing_is_lost_or_doubled_whoever_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = Embedded::start(&dir.path().join("database")).await.unwrap();
    let (url, first_pid) = (url_of(&dir.path().join("database")), postgres.pid().unwrap());
    let stop = CancellationToken::new();
    let work = async {
        let start = |name: &str| Replica::start(dir.path().join(name), &url);
        let replicas: [Replica; 2] = tokio::join!(start("a"), start("b")).into();
        let batch = || -> Vec<Event> { std::iter::repeat_with(event).take(EVENTS).collect() };
        let batches: Vec<Vec<Vec<Event>>> =
            (0..PROXIES).map(|_| std::iter::repeat_with(batch).take(BATCHES).collect()).collect();
        let (done, mut confirmed) = watch::channel(0);
        let reached = async |part: usize| {
            confirmed.clone().wait_for(|done| *done >= PROXIES * BATCHES * part / 5).await.unwrap();
        };
        let proxies = batches.iter().enumerate();
        let proxies = proxies.map(|(proxy, batches)| deliver(proxy, batches, &replicas, &done));
        let trouble = async {
            reached(1).await;
            replicas[0].kill_and_start(&url).await;
            reached(2).await;
            let pid = first_pid.to_string();
            assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
            reached(3).await;
            replicas[1].kill_and_start(&url).await;
            reached(4).await;
            replicas[0].kill_and_start(&url).await;
        };
        tokio::join!(join_all(proxies), trouble);
        confirmed.wait_for(|done| *done == PROXIES * BATCHES).await.unwrap();

        let sent: HashSet<Uuid> = batches.iter().flatten().flatten().map(|event| event.id).collect();
        assert_eq!(sent.len(), PROXIES * BATCHES * EVENTS);
        let all = i64::try_from(sent.len()).unwrap();
        let rows = "SELECT count(*), count(DISTINCT id), sum(input_tokens)::bigint, \
            sum(cost_nano_usd)::bigint FROM requests";
        let [count, ids, tokens, cost] = numbers(&url, rows).await;
        assert_eq!([count, ids, tokens], [all, all, 1_000 * all]);
        for table in ["rollup_minute", "rollup_hour", "rollup_day"] {
            let sums = format!(
                "SELECT sum(requests)::bigint, sum(input_tokens)::bigint, sum(cost_nano_usd)::bigint, \
                 sum((SELECT sum(n) FROM unnest(durations) n))::bigint FROM {table}"
            );
            assert_eq!(numbers(&url, &sums).await, [count, tokens, cost, count], "{table}");
        }
        for replica in replicas {
            let mut process = replica.process.into_inner();
            process.signal("TERM");
            let (status, output) = process.ended().await;
            assert!(status.success(), "{output}");
            assert!(!output.contains("deadlock"), "{output}");
        }
        stop.cancel();
    };
    tokio::join!(work, postgres.run(stop.clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_postgres_a_controller_serves_and_stores_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("database");
    let url = url_of(&database);
    let process = Process::start(dir.path(), &["--database-url", &url]).await;
    let mut reporting = Reporting::open(&process.grpc, &dir.path().join("data")).await;
    let events = [event()];
    reporting.send(1, &events).await;
    assert_eq!(reporting.answer().await, Some(Err(1)), "the proxy keeps it");
    let health = process.get("/health").await;
    assert_eq!((health["status"].as_str(), health["storing"].as_bool()), (Some("degraded"), Some(false)));
    assert_eq!(process.get("/api/accounts").await, serde_json::json!([]));

    let postgres = Embedded::start(&database).await.unwrap();
    let stop = CancellationToken::new();
    let work = async {
        let mut answer = Err(1);
        while answer.is_err() {
            reporting.send(1, &events).await;
            answer = reporting.answer().await.unwrap();
        }
        assert_eq!(process.get("/health").await["status"], "ok");
        assert_eq!(process.get("/api/stats").await["totalRequests"], 1);
        stop.cancel();
    };
    tokio::join!(work, postgres.run(stop.clone()));
}

/// Until the answer contains these words; a server-sent stream goes on behind them.
async fn hear(process: &Process, path: &str, mut until: impl AsyncFnMut(&str) -> bool) {
    let mut stream = process.open(path).await;
    let mut heard = String::new();
    let mut buffer = [0; 4_096];
    while !until(&heard).await {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "it ended: {heard}");
        heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    stream.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_controller_shows_the_proxies_and_the_requests_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("database");
    let postgres = Embedded::start(&database).await.unwrap();
    let (url, stop) = (url_of(&database), CancellationToken::new());
    let work = async {
        let start = |name: &str| Replica::start(dir.path().join(name), &url);
        let (a, b) = tokio::join!(start("a"), start("b"));
        let mut reporting = b.reporting().await.unwrap();
        let (a, b_at) = (a.process.into_inner(), b.process.read().await.grpc.clone());
        let _connected = subscribe(&b_at, &b.folder.join("data"), "proxy-of-b").await;
        loop {
            let proxies = a.get("/api/proxies").await;
            if let Some(proxy) = proxies.as_array().unwrap().first() {
                assert_eq!(proxy["id"], "proxy-of-b");
                assert!(!proxy["controller"].as_str().unwrap().is_empty());
                break;
            }
        }
        hear(&a, "/api/requests/stream", async |heard| {
            // Whether the one listens to the other already shows in nothing else.
            reporting.send(1, &[event()]).await;
            reporting.answer().await.unwrap().unwrap();
            heard.contains("summary")
        })
        .await;
        stop.cancel();
    };
    tokio::join!(work, postgres.run(stop.clone()));
}
