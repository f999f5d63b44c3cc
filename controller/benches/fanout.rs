//! How long it takes from one proxy's word on a limit until every other proxy has been told: real sockets,
//! TLS, one connection per proxy, controller and proxies in this one process. Prints; judges nothing.
//!
//! `cargo bench -p penstock-controller --bench fanout [-- PROXIES]`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why")]

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};
use penstock_proto::observation::Observation;
use penstock_proto::wire;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[path = "../tests/control_plane/harness.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod harness;

use harness::{Controller, id};

/// Without an argument.
const PROXIES: usize = 1_000;
/// Accounts that every proxy holds.
const ACCOUNTS: usize = 100;
/// Limits that begin, one after the other.
const ROUNDS: usize = 30;

#[tokio::main]
async fn main() {
    // Cargo adds `--bench`.
    let proxies = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(PROXIES);
    let controller = Controller::start().await;
    for account in 0..ACCOUNTS {
        controller.set_account(&format!("account-{account}"), 0);
    }
    controller.reconciler.plan().wait_for(|plan| plan.accounts.len() == ACCOUNTS).await.unwrap();

    let (tell, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..proxies {
        let mut proxy = controller.subscribe().await;
        let tell = tell.clone();
        tasks.spawn(async move {
            loop {
                let update = proxy.change().await;
                let state = i32::from(wire::ResourceKind::AccountState);
                if update.changed.iter().any(|changed| changed.kind == state)
                    && tell.send(Instant::now()).is_err()
                {
                    return;
                }
            }
        });
    }
    for _ in 0..proxies {
        told.recv().await.unwrap();
    }
    println!("{proxies} proxies connected and synced in {:.1} s", begun.elapsed().as_secs_f64());

    let mut reporting = controller.report().await;
    let mut delays = Vec::new();
    for round in 0..ROUNDS {
        let batch = wire::ObservationBatch {
            batch_id: round as u64,
            observations: vec![(&limited(&format!("account-{}", round % ACCOUNTS))).into()],
        };
        let sent = Instant::now();
        let message = Some(wire::report_request::Message::Observations(batch));
        reporting.say.send(wire::ReportRequest { message }).await.unwrap();
        reporting.answers.message().await.unwrap();
        for _ in 0..proxies {
            delays.push(told.recv().await.unwrap().duration_since(sent));
        }
    }
    delays.sort_unstable();
    let at = |percent: usize| milliseconds(delays[(delays.len() - 1) * percent / 100]);
    println!("p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms", at(50), at(90), at(99), at(100));
    tasks.shutdown().await;
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn limited(account: &str) -> Observation {
    let now = Timestamp::now();
    let mut observation = Observation::about(id(account), now);
    let scope = CooldownScope { reason: CooldownReason::QuotaExhausted, model: None };
    observation
        .cooldowns
        .push((scope, Cooldown { until: now + SignedDuration::from_hours(1), observed_at: now }));
    observation
}
