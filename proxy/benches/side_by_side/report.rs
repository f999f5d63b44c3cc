//! The tables: figures, ratios and goals. Medians over the rounds; a ratio is taken within a round first.

use std::time::Duration;

use crate::ground::{Ground, Settled, Via};
use crate::measure::{IDLE_STREAMS, Outcome, Plan, STEADY, STEADY_RATE, Turn, WORKLOADS};
use crate::process::Memory;

const MIB: f64 = 1024.0 * 1024.0;

/// Largest CPU time per request beside nginx's, by workload.
const CPU_GOALS: [(&str, f64); 5] =
    [("small", 1.3), ("large", 1.2), ("aliased", 1.2), ("paced", 1.0), ("flat", 1.0)];

/// Memory of the proxy before its first request, MiB.
const FRESH_GOAL: f64 = 6.0;
/// Under load.
const LOADED_GOAL: f64 = 12.0;
/// With [`IDLE_STREAMS`].
const IDLE_GOAL: f64 = 150.0;
/// From start to ready, milliseconds.
const READY_GOAL: f64 = 50.0;

/// What it runs on.
pub(crate) fn machine(ground: &Ground, plan: &Plan) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores; {}; {} rounds", ground.nginx.version, plan.rounds);
    Ok(())
}

/// Everything.
pub(crate) fn tables(outcome: &Outcome, settled: &Settled) {
    cpu(outcome);
    rates(outcome);
    latencies(outcome);
    memory(outcome);
    match &settled.stored {
        Ok((stored, lost)) => {
            println!(
                "\nHistory: {} requests asked, {stored} rows in Postgres, {lost} events lost",
                settled.asked
            );
        }
        Err(error) => println!("\nHistory: {} requests asked; {error:#}", settled.asked),
    }
}

fn cpu(outcome: &Outcome) {
    println!("\nCPU time per request, µs       nginx   Penstock  (serving)   ratio    goal");
    for (name, goal) in CPU_GOALS {
        let own = turns(outcome, name, Via::Penstock);
        if own.is_empty() {
            continue;
        }
        // Whoever does not look into a request is compared by the same request without an alias.
        let nginx = turns(outcome, if name == "aliased" { "large" } else { name }, Via::Nginx);
        let ratios = own.iter().filter_map(|own| {
            nginx.iter().find(|other| other.round == own.round).map(|other| own.cpu / other.cpu)
        });
        let ratio = median(ratios.collect());
        println!(
            "  {name:<26} {:>8.1} {:>10.1} {:>10.1} {ratio:>8.2} {:>15}",
            median(nginx.iter().map(|turn| turn.cpu).collect()),
            median(own.iter().map(|turn| turn.cpu).collect()),
            median(own.iter().map(|turn| turn.serving).collect()),
            judged(ratio, goal, ""),
        );
    }
}

fn rates(outcome: &Outcome) {
    println!("\nHighest rate, requests/s      direct     nginx   Penstock");
    for workload in WORKLOADS {
        let rate = |via| {
            let rates: Vec<_> = turns(outcome, workload.name, via).iter().map(|turn| turn.rate).collect();
            if rates.is_empty() { "–".to_owned() } else { format!("{:.0}", median(rates)) }
        };
        if !turns(outcome, workload.name, Via::Penstock).is_empty() {
            let [direct, nginx, penstock] = Via::ALL.map(rate);
            println!("  {:<23} {direct:>10} {nginx:>9} {penstock:>10}", workload.name);
        }
    }
}

fn latencies(outcome: &Outcome) {
    println!("\nAdded latency at {STEADY_RATE}/s, µs      direct     nginx   Penstock     goal");
    for (name, _) in STEADY {
        row(outcome, name, "p50", |latency| latency.p50, true);
        row(outcome, name, "p99", |latency| latency.p99, false);
    }
}

fn row(
    outcome: &Outcome,
    name: &'static str,
    share: &str,
    of: impl Fn(&crate::measure::Latency) -> Duration,
    has_goal: bool,
) {
    let micros = |via: Via, round: usize| {
        let mut all = outcome.latencies.iter();
        let found = all.find(|latency| (latency.name, latency.via, latency.round) == (name, via, round));
        found.map(|latency| of(latency).as_secs_f64() * 1e6)
    };
    let rounds = || (0..).map_while(|round| micros(Via::Direct, round).map(|direct| (round, direct)));
    let added =
        |via| median(rounds().filter_map(|(round, direct)| Some(micros(via, round)? - direct)).collect());
    if rounds().next().is_none() {
        return;
    }
    let direct = median(rounds().map(|(_, direct)| direct).collect());
    let (nginx, penstock) = (added(Via::Nginx), added(Via::Penstock));
    let goal = if has_goal { judged(penstock, nginx, "") } else { String::new() };
    println!(
        "  {:<23} {direct:>10.0} {:>9} {:>10} {goal:>15}",
        format!("{name} {share}"),
        plus(nginx),
        plus(penstock)
    );
}

fn plus(micros: f64) -> String {
    format!("{micros:+.0}")
}

fn memory(outcome: &Outcome) {
    println!("\nMemory, MiB                                RSS    own     PSS     goal");
    let [nginx, penstock] = outcome.fresh;
    line("nginx's worker, before the first request", nginx, "");
    line("Penstock's proxy, before the first", penstock, &judged(mib(penstock.rss), FRESH_GOAL, ""));
    for workload in WORKLOADS {
        let peak = turns(outcome, workload.name, Via::Penstock).iter().map(|turn| turn.resident).max();
        let beside = turns(outcome, workload.name, Via::Nginx).iter().map(|turn| turn.resident).max();
        if let Some(peak) = peak {
            let beside = beside.map(|rss| format!("(nginx {:.1})", mib(rss))).unwrap_or_default();
            let name = format!("proxy under load: {} {beside}", workload.name);
            println!("  {name:<37} {:>7.1} {:>31}", mib(peak), judged(mib(peak), LOADED_GOAL, ""));
        }
    }
    let [nginx, penstock] = outcome.used;
    line("nginx's worker, after all of it", nginx, "");
    line("Penstock's proxy, after all of it", penstock, "");
    for idle in &outcome.idle {
        let streams = outcome.streams;
        let each = (idle.with.rss.saturating_sub(idle.before.rss)) as f64 / f64::from(streams) / 1024.0;
        let name = format!("{:?}, {streams} idle streams", idle.via);
        let goal = IDLE_GOAL * f64::from(streams) / f64::from(IDLE_STREAMS);
        let goal =
            if idle.via == Via::Penstock { judged(mib(idle.with.rss), goal, "") } else { String::new() };
        line(&name, idle.with, &goal);
        println!("    each {each:.1} KiB");
    }
    if !outcome.ready.is_empty() {
        let ready = median(outcome.ready.iter().map(|time| time.as_secs_f64() * 1e3).collect());
        println!(
            "\nFrom start to ready with ten accounts: {ready:.0} ms {}",
            judged(ready, READY_GOAL, " ms")
        );
    }
}

fn line(name: &str, memory: Memory, goal: &str) {
    let Memory { rss, anonymous, pss } = memory;
    println!("  {name:<37} {:>7.1} {:>6.1} {:>7.1} {goal:>16}", mib(rss), mib(anonymous), mib(pss));
}

fn turns(outcome: &Outcome, name: &str, via: Via) -> Vec<Turn> {
    outcome.turns.iter().filter(|turn| turn.name == name && turn.via == via).copied().collect()
}

fn judged(value: f64, goal: f64, unit: &str) -> String {
    let sign = if value <= goal { "met" } else { "missed" };
    let digits = usize::from(goal < 10.0);
    format!("≤ {goal:.digits$}{unit} {sign}")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
