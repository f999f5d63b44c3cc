//! Never two leaders: replicas whose clocks run at different speeds, over a network that delays and loses, and
//! delivers late what was long given up on.

use std::time::Duration;

use penstock_controller_core::leader::{Candidate, Record, Step, Timing};
use proptest::prelude::*;

/// Real time of one step of the story.
const TICK: Duration = Duration::from_millis(100);
const TIMING: Timing = Timing::DEFAULT;

/// The one record, as a server keeps it.
#[derive(Default)]
struct Server {
    record: Option<Record>,
    writes: u32,
}

impl Server {
    fn write(&mut self, holder: Option<&str>, over: Option<&String>) -> Option<Record> {
        if self.record.as_ref().map(|record| &record.version) != over {
            return None;
        }
        self.writes += 1;
        let record = Record {
            version: self.writes.to_string(),
            holder: holder.map(str::to_owned),
            promised: TIMING.promised,
        };
        self.record = Some(record.clone());
        Some(record)
    }
}

/// A request under way: when it arrives, and when its answer does (`None`: never).
struct UnderWay {
    step: Step,
    asked: Duration,
    arrives: u32,
    answered: Option<u32>,
    answer: Option<Answer>,
}

/// What a request came to at the server.
#[derive(Clone)]
enum Answer {
    /// The record as it was read.
    Read(Option<Record>),
    /// The record as it was written.
    Written(Record),
    /// Somebody was quicker.
    Refused,
}

struct Replica {
    name: &'static str,
    /// Percent of real time at which its clock runs.
    speed: u32,
    candidate: Candidate,
    under_way: Option<UnderWay>,
    /// Requests that were given up on and may still arrive.
    strays: Vec<UnderWay>,
    /// Until when it is stopped, like a process that gets no processor; its clock goes on.
    stopped_until: u32,
}

/// What happens to the next request of a replica.
#[derive(Debug, Clone, Copy)]
struct Fate {
    there: u32,
    back: u32,
    lost: bool,
    stop: u32,
}

fn fate() -> impl Strategy<Value = Fate> {
    let delay = || prop_oneof![4 => 0u32..3, 1 => 0u32..60, 1 => 100u32..300];
    let stop = prop_oneof![9 => Just(0u32), 1 => 0u32..300];
    (delay(), delay(), prop::bool::weighted(0.2), stop).prop_map(|(there, back, lost, stop)| Fate {
        there,
        back,
        lost,
        stop,
    })
}

impl Replica {
    fn new(name: &'static str, speed: u32) -> Self {
        let candidate = Candidate::new(name, TIMING);
        Self { name, speed, candidate, under_way: None, strays: Vec::new(), stopped_until: 0 }
    }

    fn clock(&self, tick: u32) -> Duration {
        TICK * tick * self.speed / 100
    }

    fn leads(&self, tick: u32) -> bool {
        self.candidate.leads_until(self.clock(tick)).is_some()
    }

    fn act(&mut self, tick: u32, server: &mut Server, mut fate: impl FnMut() -> Fate) {
        for request in self.under_way.iter_mut().chain(&mut self.strays) {
            if tick >= request.arrives && request.answer.is_none() {
                request.answer = Some(match &request.step {
                    Step::Write { over } => {
                        server.write(Some(self.name), over.as_ref()).map_or(Answer::Refused, Answer::Written)
                    }
                    _ => Answer::Read(server.record.clone()),
                });
            }
        }
        if tick < self.stopped_until {
            return;
        }
        let now = self.clock(tick);
        if let Some(request) = self.under_way.take() {
            let gave_up = now > request.asked + Duration::from_secs(5);
            let came = request.answered.is_some_and(|at| tick >= at);
            match request.answer.clone().filter(|_| came) {
                Some(Answer::Written(record)) => self.candidate.wrote(record, request.asked, now),
                Some(Answer::Read(record)) => self.candidate.saw(record, now),
                Some(Answer::Refused) => self.candidate.failed(now),
                None if gave_up => {
                    self.candidate.failed(now);
                    self.strays.push(request);
                }
                None => self.under_way = Some(request),
            }
            return;
        }
        let step = self.candidate.step(now);
        if !matches!(step, Step::Wait(_)) {
            let Fate { there, back, lost, stop } = fate();
            let (arrives, answered) = (tick + there, (!lost).then_some(tick + there + back));
            self.under_way = Some(UnderWay { step, asked: now, arrives, answered, answer: None });
            self.stopped_until = tick + stop;
        }
    }
}

proptest! {
    #[test]
    fn never_two_lead_at_once(
        speeds in [90u32..=110, 90u32..=110, 90u32..=110],
        fates in prop::collection::vec(fate(), 1..60),
        ticks in 200u32..3_000,
    ) {
        let mut server = Server::default();
        let mut replicas = [
            Replica::new("a", speeds[0]), Replica::new("b", speeds[1]), Replica::new("c", speeds[2]),
        ];
        let mut fates = fates.iter().copied().cycle();
        for tick in 0..ticks {
            for replica in &mut replicas {
                replica.act(tick, &mut server, || fates.next().unwrap());
            }
            let leaders: Vec<_> = replicas.iter().filter(|one| one.leads(tick)).map(|one| one.name).collect();
            prop_assert!(leaders.len() <= 1, "{leaders:?} at {tick}");
        }
    }
}

/// Lets replicas act without delays until one of them leads; how long that took.
fn until_one_leads(replicas: &mut [Replica], server: &mut Server, from: u32) -> (usize, u32) {
    let at_once = || Fate { there: 0, back: 0, lost: false, stop: 0 };
    for tick in from..from + 1_000 {
        for replica in &mut *replicas {
            replica.act(tick, server, at_once);
        }
        if let Some(leader) = replicas.iter().position(|one| one.leads(tick)) {
            return (leader, tick - from);
        }
    }
    panic!("nobody leads");
}

#[test]
fn one_that_lets_go_is_followed_within_two_seconds_and_one_that_crashes_when_its_time_is_up() {
    let mut server = Server::default();
    let mut replicas = vec![Replica::new("a", 100), Replica::new("b", 100)];
    let (first, took) = until_one_leads(&mut replicas, &mut server, 0);
    assert!(took <= 3, "{took}");
    let mut gone = replicas.remove(first);
    let held = gone.candidate.resign();
    assert!(!gone.leads(took), "who resigned does not lead");
    server.write(None, held.as_ref()).expect("nobody else wrote");
    let (_, took) = until_one_leads(&mut replicas, &mut server, 10);
    assert!(TICK * took < Duration::from_secs(2), "{took}");

    let crashed = replicas.remove(0);
    let mut replicas = vec![Replica::new("c", 100)];
    let (_, took) = until_one_leads(&mut replicas, &mut server, 10);
    assert!(TICK * took >= TIMING.promised, "{took}");
    assert!(TICK * took <= TIMING.promised + 2 * TIMING.look, "{took}");
    assert!(!crashed.leads(10 + took), "its time was up before");
}

#[test]
fn a_leader_that_cannot_renew_stops_leading_before_another_one_may_begin() {
    let mut candidate = Candidate::new("a", TIMING);
    candidate.saw(None, Duration::ZERO);
    assert_eq!(candidate.step(Duration::ZERO), Step::Write { over: None });
    let record = Record { version: "1".into(), holder: Some("a".into()), promised: TIMING.promised };
    candidate.wrote(record, Duration::ZERO, Duration::from_secs(1));
    candidate.failed(Duration::from_secs(3));
    let end = TIMING.promised.saturating_sub(TIMING.margin);
    assert!(candidate.leads_until(end.saturating_sub(TICK)).is_some());
    assert!(candidate.leads_until(end).is_none());
}
