//! A private Postgres that is killed, left over, in use, or of another version.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};
use penstock_controller::ingest::{self, Ingest};
use penstock_controller::store::Store;
use penstock_controller::store::embedded::{Embedded, EmbeddedError};
use penstock_proto::event::Event;
use tokio_util::sync::CancellationToken;

use crate::support::{at, event, events, priced, query};

/// Events that are sent while Postgres is killed.
const EVENTS: u64 = 6_000;
/// Events of one batch.
const BATCH: usize = 50;

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
}

fn is_alive(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Sends a batch as a proxy does: again and again until it is acknowledged.
async fn deliver(ingest: &Ingest, batch: Vec<Event>) {
    while ingest.submit(batch.clone()).await.is_err() {
        ingest.wait_until(|storing| storing).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_postgres_is_killed_in_the_middle() {
    let data = tempfile::tempdir().expect("a folder");
    let postgres = Embedded::start(data.path()).await.expect("Postgres starts");
    let (config, first_pid) = (postgres.connection(), postgres.pid().expect("it lives"));
    let store = Store::new(&config).expect("a pool");
    store.migrate().await.expect("migrated");
    let (ingest, ingester) = ingest::channel(store.clone(), Arc::new(|_| Some(1)));
    let (stop, stop_postgres) = (CancellationToken::new(), CancellationToken::new());
    let all = events(at("2026-11-21T23:00:00Z"), EVENTS);
    let work = async {
        let ingest = &ingest;
        let batches = stream::iter(all.chunks(BATCH).enumerate());
        let sent = batches.map(|(n, batch)| async move {
            if n * BATCH == 2_000 {
                kill(first_pid);
            }
            deliver(ingest, batch.to_vec()).await;
        });
        sent.buffer_unordered(8).count().await;
        // And all of it once more, as from a spool whose acknowledgements were lost.
        for batch in all.chunks(1_000) {
            deliver(ingest, batch.to_vec()).await;
        }
        let rows = query(&config, "SELECT id FROM requests").await;
        let stored: HashSet<uuid::Uuid> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(rows.len(), all.len(), "none doubled");
        assert!(all.iter().all(|event| stored.contains(&event.id)), "none lost");
        let sums = query(&config, "SELECT sum(requests)::bigint FROM rollup_hour").await;
        assert_eq!(sums[0].get::<_, i64>(0), EVENTS.cast_signed());
        assert!(ingest.counters().busy.load(Ordering::Relaxed) > 0, "the kill was noticed");
        stop.cancel();
        stop_postgres.cancel();
    };
    tokio::join!(work, ingester.run(stop.clone()), postgres.run(stop_postgres.clone()));
    assert!(!data.path().join("postgres/postmaster.pid").exists(), "stopped cleanly");
}

async fn stop(postgres: Embedded) {
    let stop = CancellationToken::new();
    stop.cancel();
    postgres.run(stop).await;
}

async fn count(postgres: &Embedded) -> i64 {
    query(&postgres.connection(), "SELECT count(*) FROM requests").await[0].get(0)
}

async fn start_with_a_row(data: &Path) -> Embedded {
    let postgres = Embedded::start(data).await.expect("Postgres starts");
    let store = Store::new(&postgres.connection()).expect("a pool");
    store.migrate().await.expect("migrated");
    store.write(&[priced(event(at("2026-11-21T12:00:00Z"), 1))]).await.expect("written");
    postgres
}

#[tokio::test]
async fn a_server_that_outlived_its_controller_is_stopped_and_its_rows_are_there() {
    let data = tempfile::tempdir().expect("a folder");
    let postgres = start_with_a_row(data.path()).await;
    let left_over = postgres.pid().expect("it lives");
    // As SIGKILL does: the lock goes with us, the server stays.
    drop(postgres);
    assert!(is_alive(left_over));
    let postgres = Embedded::start(data.path()).await.expect("Postgres starts");
    assert!(!is_alive(left_over));
    assert_eq!(count(&postgres).await, 1);
    stop(postgres).await;
}

#[tokio::test]
async fn a_lock_file_that_names_another_program_is_nothing_to_fear() {
    let data = tempfile::tempdir().expect("a folder");
    stop(start_with_a_row(data.path()).await).await;
    // After a power cut: the file is there, and its number is by now somebody else's.
    let lock = format!("{}\n/elsewhere\n1\n5432\n", std::process::id());
    std::fs::write(data.path().join("postgres/postmaster.pid"), lock).expect("written");
    let postgres = Embedded::start(data.path()).await.expect("Postgres starts");
    assert_eq!(count(&postgres).await, 1);
    stop(postgres).await;
}

#[tokio::test]
async fn two_controllers_do_not_share_a_folder() {
    let data = tempfile::tempdir().expect("a folder");
    let postgres = Embedded::start(data.path()).await.expect("Postgres starts");
    let second = Embedded::start(data.path()).await;
    assert!(matches!(second, Err(EmbeddedError::InUse { .. })), "{second:?}");
    assert!(is_alive(postgres.pid().expect("it lives")), "the first one's server is left alone");
    stop(postgres).await;
}

#[tokio::test]
async fn a_folder_of_another_version_is_refused_and_left_as_it_is() {
    let data = tempfile::tempdir().expect("a folder");
    stop(Embedded::start(data.path()).await.expect("Postgres starts")).await;
    std::fs::write(data.path().join("postgres/PG_VERSION"), "9.6\n").expect("written");
    let refused = Embedded::start(data.path()).await;
    assert!(
        matches!(&refused, Err(EmbeddedError::OtherVersion { found, .. }) if found == "9.6"),
        "{refused:?}"
    );
    assert!(data.path().join("postgres/base").exists());
}

#[tokio::test]
async fn a_folder_with_a_long_name_that_others_may_not_enter_will_do() {
    use std::os::unix::fs::PermissionsExt;
    let closed = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).expect("closed");
    let data = closed.path().join("a-folder-whose-name-is-long-".repeat(8)).join("data");
    let postgres = start_with_a_row(&data).await;
    assert_eq!(count(&postgres).await, 1);
    let connection = postgres.connection();
    let [tokio_postgres::config::Host::Unix(socket)] = connection.get_hosts() else {
        panic!("{connection:?}")
    };
    assert!(!socket.starts_with(&data) && socket.exists(), "a socket's name has to be short");
    stop(postgres).await;
    assert!(!socket.exists(), "nothing is left behind");
}
