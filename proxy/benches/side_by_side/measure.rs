//! What is measured, and in which turn. Every round asks the same of everyone, one after the other, and the
//! next round begins with another: what disturbs the machine for a while disturbs all of them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;

use crate::client::Connection;
use crate::ground::{Ground, Via};
use crate::load::{Done, Fleet, Load};
use crate::process::{self, Memory};
use crate::requests::{Kind, Pace, requests};

/// Descriptors a process may need besides those of the streams it relays: connections kept from before.
const OTHER_FILES: u64 = 1_000;

/// What is done after the answer (history is sent ten times a second) counts as well.
const AFTERWARDS: Duration = Duration::from_millis(250);

/// Time for memory to come to rest.
const SETTLE: Duration = Duration::from_secs(2);

/// Requests a second where it is asked how long they take.
pub(crate) const STEADY_RATE: u32 = 200;

/// Streams at the same time that the goal speaks of.
pub(crate) const IDLE_STREAMS: u32 = 10_000;

/// How the first event of a stream is told.
const FIRST_EVENT: &[u8] = b"message_start";

/// What is asked as fast as it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    kind: Kind,
    pace: Pace,
    connections: usize,
}

pub(crate) const WORKLOADS: [Workload; 5] = [
    Workload { name: "small", kind: Kind::Small, pace: Pace::Flat, connections: 32 },
    Workload { name: "large", kind: Kind::Large, pace: Pace::Flat, connections: 8 },
    Workload { name: "aliased", kind: Kind::Aliased, pace: Pace::Flat, connections: 8 },
    Workload { name: "paced", kind: Kind::Stream, pace: Pace::Paced, connections: 64 },
    Workload { name: "flat", kind: Kind::Stream, pace: Pace::Flat, connections: 16 },
];

/// What is asked at a steady rate.
pub(crate) const STEADY: [(&str, Kind); 2] = [("latency small", Kind::Small), ("latency large", Kind::Large)];

/// How much of it is done.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    turn: Duration,
    steady: Duration,
    starts: usize,
    pub(crate) streams: u32,
    only: String,
}

/// One way's part of one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) name: &'static str,
    pub(crate) via: Via,
    pub(crate) round: usize,
    /// CPU time of a request in the relaying process, microseconds.
    pub(crate) cpu: f64,
    /// Of it: in the threads that serve.
    pub(crate) serving: f64,
    /// Answers a second.
    pub(crate) rate: f64,
    /// Largest memory seen, bytes.
    pub(crate) resident: u64,
}

/// How long requests at a steady rate took in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) name: &'static str,
    pub(crate) via: Via,
    pub(crate) round: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Memory with and without streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) via: Via,
    pub(crate) before: Memory,
    pub(crate) with: Memory,
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) turns: Vec<Turn>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) ready: Vec<Duration>,
    /// Before the first request: nginx, Penstock.
    pub(crate) fresh: [Memory; 2],
    /// After the last turn of requests.
    pub(crate) used: [Memory; 2],
    pub(crate) streams: u32,
    pub(crate) idle: Vec<Idle>,
}

impl Plan {
    /// `files`: how many a process may have open; a relayed stream takes two.
    pub(crate) fn new(quick: bool, rounds: Option<usize>, only: String, files: u64) -> Self {
        let (default, turn, steady, starts) = if quick { (1, 400, 500, 1) } else { (7, 1_000, 2_500, 9) };
        let room = u32::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(u32::MAX);
        Self {
            rounds: rounds.unwrap_or(default).max(1),
            turn: Duration::from_millis(turn),
            steady: Duration::from_millis(steady),
            starts,
            streams: if quick { 1_000 } else { IDLE_STREAMS }.min(room),
            only,
        }
    }

    fn includes(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

/// Measures everything that the plan includes. What was measured before a failure stands.
pub(crate) async fn run(plan: &Plan, ground: &mut Ground, outcome: &mut Outcome) -> anyhow::Result<()> {
    outcome.streams = plan.streams;
    sleep(SETTLE).await;
    outcome.fresh = both(ground)?;
    if plan.includes("start") {
        for _ in 0..plan.starts {
            outcome.ready.push(ground.penstock.time_to_ready().await?);
        }
    }
    for round in 0..plan.rounds {
        eprint!("\rround {} of {} ", round + 1, plan.rounds);
        for workload in WORKLOADS.iter().filter(|workload| plan.includes(workload.name)) {
            for via in order(round) {
                // Whoever does not look into a request does not know an alias.
                if workload.kind != Kind::Aliased || via == Via::Penstock {
                    outcome.turns.push(turn(plan, ground, workload, via, round).await?);
                }
            }
        }
        for (name, kind) in STEADY.into_iter().filter(|(name, _)| plan.includes(name)) {
            for via in order(round) {
                outcome.latencies.push(steady(plan, ground, (name, kind), via, round).await?);
            }
        }
    }
    outcome.used = both(ground)?;
    if plan.includes("idle") {
        eprint!("\r{} streams ", plan.streams);
        for via in [Via::Nginx, Via::Penstock] {
            outcome.idle.push(idle(plan, ground, via).await?);
        }
    }
    eprintln!();
    Ok(())
}

/// Who begins changes from round to round.
fn order(round: usize) -> impl Iterator<Item = Via> {
    (0..Via::ALL.len()).map(move |place| Via::ALL[(place + round) % Via::ALL.len()])
}

fn both(ground: &Ground) -> anyhow::Result<[Memory; 2]> {
    Ok([process::memory(ground.nginx.worker)?, process::memory(ground.penstock.pid())?])
}

async fn turn(
    plan: &Plan,
    ground: &mut Ground,
    workload: &Workload,
    via: Via,
    round: usize,
) -> anyhow::Result<Turn> {
    let requests = requests(workload.kind, workload.pace);
    let answer = answer(ground, workload.pace, &requests).await?;
    let load = Load { address: ground.address(via, workload.pace)?, requests: &requests, answer: &answer };
    let mut fleet = Fleet::new(load, workload.connections).await?;
    let before = ground.cpu(via)?;
    let (done, resident) = tokio::join!(fleet.run(plan.turn), peak(ground, via, plan.turn));
    let Done { answers, taken } = done?;
    sleep(AFTERWARDS).await;
    let after = ground.cpu(via)?;
    if via == Via::Penstock {
        ground.asked += answers + workload.connections as u64;
    }
    let each = |from: u64, to: u64| (to - from) as f64 / 1e3 / answers as f64;
    Ok(Turn {
        name: workload.name,
        via,
        round,
        cpu: each(before.0, after.0),
        serving: each(before.1, after.1),
        rate: answers as f64 / taken.as_secs_f64(),
        resident: resident?,
    })
}

/// The largest memory during a turn.
async fn peak(ground: &Ground, via: Via, time: Duration) -> anyhow::Result<u64> {
    let Some(pid) = ground.pid(via) else { return Ok(0) };
    let (start, mut peak) = (Instant::now(), 0);
    while start.elapsed() < time {
        sleep(time / 10).await;
        peak = process::resident(pid)?.max(peak);
    }
    Ok(peak)
}

async fn steady(
    plan: &Plan,
    ground: &mut Ground,
    (name, kind): (&'static str, Kind),
    via: Via,
    round: usize,
) -> anyhow::Result<Latency> {
    let requests = requests(kind, Pace::Flat);
    let answer = answer(ground, Pace::Flat, &requests).await?;
    let load = Load { address: ground.address(via, Pace::Flat)?, requests: &requests, answer: &answer };
    let steady = load.steady(STEADY_RATE, plan.steady).await?;
    if via == Via::Penstock {
        ground.asked += steady.asked;
    }
    let at = |share: usize| steady.taken[(steady.taken.len() * share / 100).min(steady.taken.len() - 1)];
    Ok(Latency { name, via, round, p50: at(50), p99: at(99) })
}

async fn idle(plan: &Plan, ground: &mut Ground, via: Via) -> anyhow::Result<Idle> {
    let requests = requests(Kind::Stream, Pace::Idle);
    let load = Load { address: ground.address(via, Pace::Idle)?, requests: &requests, answer: FIRST_EVENT };
    let memory = |ground: &Ground| process::memory(ground.pid(via).unwrap_or_default());
    let before = memory(ground)?;
    let streams = load.held(plan.streams as usize).await?;
    sleep(SETTLE).await;
    let with = memory(ground)?;
    let broken = streams.iter().filter(|stream| !stream.is_quiet()).count();
    anyhow::ensure!(broken == 0, "{broken} streams did not stay open");
    drop(streams);
    if via == Via::Penstock {
        ground.asked += u64::from(plan.streams);
    }
    // The end of so many is not to disturb what comes next.
    sleep(SETTLE).await;
    Ok(Idle { via, before, with })
}

/// What the simulator answers, which is what everyone has to answer.
async fn answer(ground: &Ground, pace: Pace, requests: &[Bytes]) -> anyhow::Result<Vec<u8>> {
    let mut connection = Connection::open(ground.address(Via::Direct, pace)?).await?;
    Ok(connection.exchange(&requests[0]).await?.to_vec())
}
