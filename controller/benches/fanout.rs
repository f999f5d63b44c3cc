//! How long it takes from one proxy's word on a limit until every other proxy has been told: real sockets,
//! TLS, one connection per proxy, controller and proxies in this one process, on threads of their own. On a
//! machine with few cores the proxies' work is most of the delay; the CPU time says what is the controller's.
//! Prints; judges nothing.
//!
//! `cargo bench -p penstock-controller --bench fanout [-- PROXIES]`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why")]

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};
use penstock_proto::observation::Observation;
use penstock_proto::wire;
use tokio::runtime::Builder;
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
/// The name of the controller's threads.
const CONTROLLER: &str = "controller";

fn main() {
    // Cargo adds `--bench`.
    let proxies = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(PROXIES);
    // Threads of their own, so that the two sides' work can be told apart.
    let runtime = |name: &str| Builder::new_multi_thread().thread_name(name).enable_all().build().unwrap();
    let (ours, theirs) = (runtime(CONTROLLER), runtime("proxies"));
    let controller = ours.block_on(Controller::start());
    theirs.block_on(measure(controller, proxies));
}

async fn measure(controller: Controller, proxies: usize) {
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
    let before = cpu_time();
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
    let pushes = f64::from(u32::try_from(delays.len()).unwrap());
    let [of_controller, of_proxies] =
        [0, 1].map(|side| cpu_time()[side].saturating_sub(before[side]).as_secs_f64() * 1e6);
    println!(
        "CPU time of a push and its answer: {:.1} µs in the controller, {:.1} µs in the proxy",
        of_controller / pushes,
        of_proxies / pushes
    );
    tasks.shutdown().await;
}

/// Used so far by the controller's threads, and by all others. `/proc/PID/task/TID/schedstat`.
fn cpu_time() -> [Duration; 2] {
    let mut used = [Duration::ZERO; 2];
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |name: &str| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let nanos = read("schedstat").split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
        used[usize::from(read("comm").trim() != CONTROLLER)] += Duration::from_nanos(nanos);
    }
    used
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
