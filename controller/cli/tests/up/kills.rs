//! Nothing is lost or doubled when the controller or Postgres is killed in the middle of traffic, and no
//! client notices.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::http::message;
use crate::running::{Running, signal};

/// Requests over the whole test.
const REQUESTS: usize = 4_000;
/// At the same time.
const CLIENTS: usize = 24;

async fn send(running: &Arc<Running>, count: usize) -> BTreeSet<String> {
    let mut clients = JoinSet::new();
    let room = Arc::new(Semaphore::new(CLIENTS));
    for number in 0..count {
        let (running, room) = (Arc::clone(running), Arc::clone(&room));
        clients.spawn(async move {
            let _permit = room.acquire_owned().await.unwrap();
            let body = message(&format!("request {number}"));
            let answer =
                running.http.send(Method::POST, running.clients, "/v1/messages", None, &body).await.unwrap();
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            answer.headers["x-penstock-request-id"].to_str().unwrap().to_owned()
        });
    }
    let ids = clients.join_all().await;
    let unique: BTreeSet<_> = ids.into_iter().collect();
    assert_eq!(unique.len(), count, "every request has an id of its own");
    unique
}

async fn stored(running: &Running) -> Vec<String> {
    let mut ids = Vec::new();
    let mut path = "/api/requests?limit=1000".to_owned();
    loop {
        let page = running.get(&path).await;
        let rows = page["requests"].as_array().unwrap_or_else(|| panic!("{page}"));
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/api/requests?limit=1000&cursor={cursor}"),
            None => return ids,
        }
    }
}

/// Kills a program while a part of the requests is under way.
async fn send_and_kill(running: &Arc<Running>, name: &str, count: usize) -> BTreeSet<String> {
    let mut sent = send(running, count / 3).await;
    let pid = running.process(name).unwrap_or_else(|| panic!("{name} does not run"));
    let kill = async { signal(pid, Signal::KILL) };
    let (more, ()) = tokio::join!(send(running, count - count / 3), kill);
    sent.extend(more);
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_penstock_up_leaves_nothing_running() {
    let running = Running::start();
    let programs = ["penstock-controller", "penstock-proxy", "postgres"];
    let left = programs.map(|name| running.process(name).unwrap_or_else(|| panic!("{name} does not run")));
    running.kill();
    // One that has ended and is not yet waited for has no command line any more.
    let runs = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(50));
    while left.iter().any(runs) {
        looks.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_or_doubled_when_controller_and_postgres_are_killed_under_load() {
    let running = Arc::new(Running::start());
    let mut sent = BTreeSet::new();
    for name in ["penstock-controller", "postgres", "penstock-controller", "postgres"] {
        sent.extend(send_and_kill(&running, name, REQUESTS / 4).await);
        // The next one is killed once it is back.
        running.wait_for("/health", "storing again", |health| health["storing"] == true).await;
    }
    assert_eq!(sent.len(), REQUESTS);

    let all = |stats: &Value| stats["totalRequests"].as_u64() >= Some(REQUESTS as u64);
    running.wait_for("/api/stats", "every request is stored", all).await;
    let rows = stored(&running).await;
    assert_eq!(rows.len(), REQUESTS, "one row a request");
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), sent);
}
