//! The program as a person or `penstock up` runs it: what it prints, how it ends, what survives its death.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::BTreeSet;

use penstock_proto::event::Event;
use tempfile::TempDir;

#[path = "program/process.rs"]
mod process;
#[path = "program/reporting.rs"]
mod reporting;
#[path = "program/several.rs"]
mod several;

use process::Process;
use reporting::{Reporting, event};

#[tokio::test]
async fn it_says_where_it_is_tells_no_token_and_stops_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), &[]).await;
    let health = process.get("/health").await;
    assert_eq!(health["status"], "ok");
    assert!(process.get_text("/metrics").await.contains("penstock_controller_proxies_connected 0"));

    process.signal("TERM");
    let (status, output) = process.ended().await;
    assert!(status.success(), "{output}");
    for token in ["admin-token", "proxy-token"] {
        let token = std::fs::read_to_string(dir.path().join("data").join(token)).unwrap();
        assert!(!output.contains(token.trim()), "a token is in the output");
    }
    assert!(!dir.path().join("data/postgres/postmaster.pid").exists(), "Postgres was stopped");
}

#[tokio::test]
async fn every_wrong_setting_is_told_and_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::spawn(dir.path(), &["--api-listen", "nowhere", "--history-days", "0"], None);
    let (status, output) = process.ended().await;
    assert_eq!(status.code(), Some(2));
    assert!(output.contains("--api-listen") && output.contains("--history-days"), "{output}");
    assert!(!dir.path().join("data").exists());
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_flag_and_the_private_postgres_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let process = Process::spawn(dir.path(), &["--grpc-listen", &address], None);
    let (status, output) = process.ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(output.contains("--grpc-listen") && output.contains(&address), "{output}");
    assert!(!dir.path().join("data/postgres/postmaster.pid").exists(), "Postgres was stopped");
}

#[tokio::test]
async fn it_ends_when_the_process_that_started_it_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    // No test runs as the child of process 1, so to it the parent has gone.
    let (status, output) = Process::spawn(dir.path(), &[], Some(1)).ended().await;
    assert!(output.contains("has gone"), "{output}");
    assert!(status.success(), "{output}");
    assert!(!dir.path().join("data/postgres/postmaster.pid").exists(), "Postgres was stopped");
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_it_is_killed_in_the_middle() {
    let dir: TempDir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let batches: Vec<Vec<Event>> =
        (0..40).map(|_| std::iter::repeat_with(event).take(100).collect()).collect();

    let mut process = Process::start(dir.path(), &[]).await;
    let mut confirmed = BTreeSet::new();
    let mut reporting = Reporting::open(&process.grpc, &data).await;
    for (id, batch) in (0..).zip(&batches) {
        reporting.send(id, batch).await;
        if id == 20 {
            confirmed.extend(reporting.stored().await);
            process.signal("KILL");
        }
    }
    while let Some(id) = reporting.stored().await {
        confirmed.insert(id);
    }
    process.ended().await;

    let process = Process::start(dir.path(), &[]).await;
    let before = process.get("/api/stats").await["totalRequests"].as_u64().unwrap();
    assert!(before >= 100 * confirmed.len() as u64, "{before} rows, {} batches confirmed", confirmed.len());

    // What a proxy does that heard nothing of most answers: it sends everything again.
    let mut reporting = Reporting::open(&process.grpc, &data).await;
    for (id, batch) in (0..).zip(&batches) {
        reporting.send(id, batch).await;
        assert_eq!(reporting.stored().await, Some(id));
    }
    assert_eq!(process.get("/api/stats").await["totalRequests"], 4_000);
}
