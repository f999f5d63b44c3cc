//! How often statuses are written, however fast the world turns, and what replicas learn from each other by them.

#[path = "common/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_controller_core::damp::{AT_MOST, Pacer, SMALL_EVERY, Weight};
use penstock_controller_core::objects::Objects;
use penstock_controller_core::reconcile;
use penstock_controller_core::reconcile::StatusWrite;
use penstock_controller_core::world::World;
use penstock_crds::ProviderAccount;
use penstock_crds::account::status::State;
use penstock_proto::ids::ObjectId;
use penstock_proto::limits::{CooldownReason, WindowStatus};
use proptest::prelude::*;
use world::{Seen, account, at, id, observation, secret, window};

const MINUTE: Duration = Duration::from_secs(60);

/// The one object, as a server keeps it, and when it was written.
struct Server {
    object: ProviderAccount,
    version: u32,
    writes: Vec<Duration>,
}

/// One controller.
struct Replica {
    world: World,
    pacer: Pacer,
    leads: bool,
    /// What the watch brings next, one version behind the server.
    shown: Option<ProviderAccount>,
}

struct Cluster {
    server: Server,
    replicas: Vec<Replica>,
}

fn objects(object: ProviderAccount) -> Objects {
    let (_, secret) = secret("llm/s", &[("apiKey", "sk-1")]);
    Objects {
        accounts: BTreeMap::from([(id("llm/a"), Arc::new(object))]),
        secrets: BTreeMap::from([(id("llm/s"), secret)]),
        ..Objects::default()
    }
}

impl Cluster {
    fn with(replicas: usize) -> Self {
        let (_, object) = account("llm/a", "provider: anthropic\ncredentials: {secretRef: {name: s}}");
        let mut object = ProviderAccount::clone(&object);
        object.metadata.resource_version = Some("0".into());
        let replica = |leads| {
            let mut world = World::default();
            world.set_objects(objects(object.clone()));
            Replica { world, pacer: Pacer::default(), leads, shown: None }
        };
        let replicas = (0..replicas).map(|n| replica(n == 0)).collect();
        Self { server: Server { object: object.clone(), version: 0, writes: Vec::new() }, replicas }
    }

    /// Every replica takes in what the watch has, decides, and writes what is due.
    fn turn(&mut self, millisecond: u64) {
        let (now, wall) = (Duration::from_millis(millisecond), instant(millisecond));
        for replica in &mut self.replicas {
            if let Some(object) = replica.shown.take() {
                replica.world.set_objects(objects(object));
            }
            let plan = reconcile(&replica.world, wall);
            replica.pacer.saw(&plan.versions, now);
            for write in replica.pacer.choose(&plan.writes, replica.leads, now, false).0 {
                replica.pacer.wrote(&write, now);
                self.server.write(&write, now);
            }
        }
        for replica in &mut self.replicas {
            replica.shown = Some(self.server.object.clone());
        }
    }

    fn observe(&mut self, replica: usize, seen: Seen, millisecond: u64) {
        let Seen(mut seen) = seen;
        seen.observed_at = instant(millisecond);
        for (_, window) in &mut seen.windows {
            window.observed_at = instant(millisecond);
        }
        for (_, cooldown) in &mut seen.cooldowns {
            cooldown.observed_at = instant(millisecond);
        }
        self.replicas[replica].world.observe(&seen, instant(millisecond));
    }

    fn settle(&mut self, from: u64) -> u64 {
        (from..from + 60_000).step_by(500).for_each(|millisecond| self.turn(millisecond));
        from + 60_000
    }

    fn state(&self) -> Option<State> {
        self.server.object.status.as_ref()?.state
    }

    /// The most writes in any minute.
    fn most(&self) -> usize {
        let writes = &self.server.writes;
        writes
            .iter()
            .map(|first| writes.iter().filter(|at| (*first..*first + MINUTE).contains(at)).count())
            .max()
            .unwrap_or(0)
    }
}

impl Server {
    fn write(&mut self, write: &StatusWrite, now: Duration) {
        let StatusWrite::Account(_, change) = write else { panic!("there is only an account") };
        if change.based_on != self.object.metadata.resource_version {
            return;
        }
        self.version += 1;
        self.object.metadata.resource_version = Some(self.version.to_string());
        self.object.status = Some(change.wanted.clone());
        self.writes.push(now);
    }
}

fn instant(millisecond: u64) -> jiff::Timestamp {
    at(0) + jiff::SignedDuration::from_millis(i64::try_from(millisecond).expect("small"))
}

fn used(percent: f64) -> Seen {
    observation("llm/a", 0).window("five_hour", window(percent, Some(18_000), WindowStatus::Allowed, 0))
}

fn limited(until: i64) -> Seen {
    observation("llm/a", 0).cooldown(CooldownReason::Throttled, None, until)
}

#[test]
fn a_window_that_moves_with_every_request_is_written_twelve_times_a_minute() {
    for replicas in [1, 2] {
        let mut cluster = Cluster::with(replicas);
        for millisecond in (0..180_000).step_by(20) {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let percent = millisecond as f64 / 2_000.0;
            let replica = usize::try_from(millisecond / 20).unwrap() % replicas;
            cluster.observe(replica, used(percent), millisecond);
            cluster.turn(millisecond);
        }
        // The first look at the account and its first window come on top.
        let small: Vec<_> = cluster.server.writes.split_off(3);
        cluster.server.writes = small;
        assert!(cluster.most() <= 12, "{} with {replicas} replicas", cluster.most());
        assert!(
            cluster.server.writes.len() >= 30,
            "{} with {replicas} replicas",
            cluster.server.writes.len()
        );
    }
}

#[test]
fn a_limit_that_another_replica_saw_is_known_at_the_next_turn_of_the_watch() {
    let mut cluster = Cluster::with(2);
    let now = cluster.settle(0);
    assert_eq!(cluster.state(), Some(State::Available));
    cluster.observe(1, limited(600), now);
    cluster.turn(now);
    assert_eq!(cluster.state(), Some(State::Available), "only the leader says in which state an account is");
    cluster.turn(now + 1);
    assert_eq!(cluster.state(), Some(State::Limited));
    assert_eq!(cluster.replicas[0].world.observed, cluster.replicas[1].world.observed);
}

#[test]
fn a_rejected_credential_that_is_forgotten_by_one_replica_is_forgotten_by_all() {
    let mut cluster = Cluster::with(2);
    let mut now = cluster.settle(0);
    let fingerprint = penstock_proto::secret::Secret::new("sk-1").fingerprint();
    cluster.observe(1, observation("llm/a", 0).rejected(&fingerprint), now);
    now = cluster.settle(now);
    assert_eq!(cluster.state(), Some(State::NeedsLogin));
    cluster.replicas[1].world.forget_limits(&id("llm/a"), instant(now));
    now = cluster.settle(now);
    assert_eq!(cluster.state(), Some(State::Available));
    let writes = cluster.server.writes.len();
    cluster.settle(now);
    assert_eq!(cluster.server.writes.len(), writes, "nobody puts it back");
}

#[derive(Debug, Clone)]
enum Event {
    Used(usize, f64),
    Limited(usize, i64),
    Lifted(usize),
    Overloaded(usize, i64),
    Rejected(usize),
    Forget(usize),
    Leader(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let replica = || 0..3usize;
    prop_oneof![
        4 => (replica(), 0.0..120.0f64).prop_map(|(n, percent)| Event::Used(n, percent)),
        1 => (replica(), 1..40i64).prop_map(|(n, seconds)| Event::Limited(n, seconds)),
        1 => replica().prop_map(Event::Lifted),
        1 => (replica(), 1..10i64).prop_map(|(n, seconds)| Event::Overloaded(n, seconds)),
        1 => replica().prop_map(Event::Rejected),
        1 => replica().prop_map(Event::Forget),
        1 => replica().prop_map(Event::Leader),
    ]
}

fn happen(cluster: &mut Cluster, event: &Event, millisecond: u64) {
    let second = i64::try_from(millisecond / 1_000).expect("small");
    match *event {
        Event::Used(n, percent) => cluster.observe(n, used(percent), millisecond),
        Event::Limited(n, seconds) => cluster.observe(n, limited(second + seconds), millisecond),
        Event::Lifted(n) => {
            let Seen(mut seen) = observation("llm/a", 0);
            let (reason, model) = (CooldownReason::Throttled, None);
            seen.lifts.push((penstock_proto::limits::CooldownScope { reason, model }, instant(millisecond)));
            cluster.observe(n, Seen(seen), millisecond);
        }
        Event::Overloaded(n, seconds) => {
            let seen = observation("llm/a", 0);
            let seen = seen.cooldown(CooldownReason::Overloaded, Some("m"), second + seconds);
            cluster.observe(n, seen, millisecond);
        }
        Event::Rejected(n) => {
            let fingerprint = penstock_proto::secret::Secret::new("sk-1").fingerprint();
            cluster.observe(n, observation("llm/a", 0).rejected(&fingerprint), millisecond);
        }
        Event::Forget(n) => {
            let id: ObjectId = id("llm/a");
            cluster.replicas[n].world.forget_limits(&id, instant(millisecond));
        }
        Event::Leader(n) => {
            for (at, replica) in cluster.replicas.iter_mut().enumerate() {
                replica.leads = at == n;
            }
        }
    }
}

#[test]
fn of_thousands_of_accounts_a_part_is_written_what_began_or_ended_first() {
    let mut all = Objects::default();
    for number in 0..2 * AT_MOST {
        let (id, object) = account(&format!("llm/a{number:04}"), "provider: ollama");
        all.accounts.insert(id, object);
    }
    let mut world = World::default();
    world.set_objects(all);
    reconcile(&world, at(0)).apply(&mut world);
    // All of them merely move, but for the last one, which ends up limited.
    let last = id(&format!("llm/a{:04}", 2 * AT_MOST - 1));
    world.in_use_by = world.objects.accounts.keys().map(|id| (id.clone(), 1)).collect();
    let Seen(limited) = observation(last.as_str(), 0).cooldown(CooldownReason::Throttled, None, 600);
    world.observe(&limited, at(1));
    let (plan, pacer, now) = (reconcile(&world, at(1)), Pacer::default(), Duration::from_secs(1));
    assert_eq!(plan.writes.len(), 2 * AT_MOST);
    let (chosen, next) = pacer.choose(&plan.writes, true, now, false);
    assert_eq!((chosen.len(), chosen[0].target().1, next), (AT_MOST, &last, Some(now)));
    let (chosen, next) = pacer.choose(&plan.writes, true, now, true);
    assert_eq!((chosen.len(), next), (2 * AT_MOST, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_storm_of_observations_writes_at_most_sixty_times_a_minute_and_then_all_agree(
        events in prop::collection::vec((event(), 1..400u64), 1..300),
    ) {
        let mut cluster = Cluster::with(3);
        let mut now = 0;
        for (event, gap) in &events {
            happen(&mut cluster, event, now);
            cluster.turn(now);
            now += gap;
        }
        prop_assert!(cluster.most() <= 60, "{}", cluster.most());
        now = cluster.settle(now);
        let writes = cluster.server.writes.len();
        cluster.settle(now);
        prop_assert_eq!(cluster.server.writes.len(), writes, "what is written stays written");
        let status = cluster.server.object.status.clone().expect("it was written");
        for replica in &cluster.replicas {
            let mut wanted = reconcile(&replica.world, instant(now)).accounts[&id("llm/a")].clone();
            // Time may have ended something since; who leads says so at its own pace.
            wanted.cooldowns.clone_from(&status.cooldowns);
            prop_assert_eq!(&wanted.windows, &status.windows);
            prop_assert_eq!(wanted.state, status.state);
            prop_assert_eq!(&wanted.credentials, &status.credentials);
        }
    }

    #[test]
    fn the_pace_of_one_object_holds_for_any_wishes(
        wishes in prop::collection::vec((any::<bool>(), 0..3_000u64), 1..400),
    ) {
        let (_, object) = account("llm/a", "provider: ollama");
        let mut world = World::default();
        world.set_objects(objects(ProviderAccount::clone(&object)));
        let write = reconcile(&world, at(0)).writes.remove(0);
        let (mut pacer, mut now) = (Pacer::default(), Duration::ZERO);
        let (mut all, mut last) = (Vec::new(), None::<Duration>);
        for (small, gap) in wishes {
            now += Duration::from_millis(gap);
            let weight = if small { Weight::Small } else { Weight::Transition };
            if pacer.due(&write, weight, now).is_some_and(|at| at <= now) {
                pacer.wrote(&write, now);
                prop_assert!(!small || last.is_none_or(|last| now >= last + SMALL_EVERY));
                all.push(now);
                last = Some(now);
            }
        }
        for first in &all {
            let within = all.iter().filter(|at| (*first..*first + MINUTE).contains(at)).count();
            prop_assert!(within <= 60, "{within}");
        }
    }
}
