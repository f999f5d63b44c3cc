//! The loop under virtual time.

use jiff::SignedDuration;
use penstock_controller_core::budget;
use penstock_controller_core::objects::SecretObject;
use penstock_crds::account::status::State;
use penstock_crds::values::Period;
use penstock_proto::ids::ObjectId;
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope, Window, WindowStatus};
use penstock_proto::secret::Secret;
use serde_json::json;
use tokio::task::JoinSet;

use super::*;

struct Running {
    reconciler: Reconciler,
    objects: watch::Sender<Arc<Objects>>,
    clock: Clock,
    _task: JoinSet<()>,
}

fn id() -> ObjectId {
    "default/a".parse().unwrap()
}

fn objects(priority: u8) -> Arc<Objects> {
    let account = json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": "a"},
        "spec": {
            "provider": "anthropic", "priority": priority, "credentials": {"secretRef": {"name": "a"}},
            "budget": {"period": "Day", "usd": "1"},
        },
    });
    let data = BTreeMap::from([("apiKey".to_owned(), Secret::new("sk-a"))]);
    Arc::new(Objects {
        accounts: BTreeMap::from([(id(), Arc::new(serde_json::from_value(account).unwrap()))]),
        secrets: BTreeMap::from([(id(), Arc::new(SecretObject { data, ..SecretObject::default() }))]),
        standalone: true,
        ..Objects::default()
    })
}

impl Running {
    /// A loop over one account, whose time of day follows the runtime's clock.
    fn start() -> Self {
        let began = Instant::now();
        let clock: Clock = Arc::new(move || {
            let passed = SignedDuration::try_from(began.elapsed()).unwrap();
            Timestamp::from_second(1_800_000_000).unwrap() + passed
        });
        let (objects, objects_rx) = watch::channel(objects(0));
        let (reconciler, work) =
            channel(objects_rx, Registry::default(), Arc::clone(&clock), ReconcileMetrics::default());
        let mut task = JoinSet::new();
        task.spawn(work.run(CancellationToken::new()));
        Self { reconciler, objects, clock, _task: task }
    }

    fn observation(&self) -> Observation {
        Observation::about(id(), (self.clock)())
    }

    async fn is_in(&self, state: State) {
        let is = |plan: &Arc<Plan>| plan.accounts[&id()].state == Some(state);
        self.reconciler.plan().wait_for(is).await.unwrap();
    }
}

fn limited_for(seconds: i64, running: &Running) -> Observation {
    let mut observation = running.observation();
    let until = observation.observed_at + SignedDuration::from_secs(seconds);
    let scope = CooldownScope { reason: CooldownReason::QuotaExhausted, model: None };
    observation.cooldowns.push((scope, Cooldown { until, observed_at: observation.observed_at }));
    observation
}

fn used(percent: f64, running: &Running) -> Observation {
    let mut observation = running.observation();
    let observed_at = observation.observed_at;
    let status = WindowStatus::Allowed;
    let window = Window { utilization: percent, resets_at: None, status, remaining: None, observed_at };
    observation.windows.push(("five_hour".to_owned(), window));
    observation
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_published_at_once_and_its_end_when_it_comes() {
    let running = Running::start();
    running.is_in(State::Available).await;
    let start = Instant::now();
    running.reconciler.observe(vec![limited_for(300, &running)]).await;
    running.is_in(State::Limited).await;
    assert!(start.elapsed() <= BURST, "{:?}", start.elapsed());
    running.is_in(State::Available).await;
    assert!(start.elapsed() >= Duration::from_secs(300), "{:?}", start.elapsed());
    assert!(start.elapsed() <= Duration::from_secs(300) + BURST, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_small_move_of_a_window_waits_for_the_regular_publication() {
    let running = Running::start();
    running.reconciler.observe(vec![used(40.0, &running)]).await;
    let shows = |percent: f64| {
        move |plan: &Arc<Plan>| {
            plan.accounts[&id()]
                .windows
                .first()
                .is_some_and(|window| (window.utilization - percent).abs() < f64::EPSILON)
        }
    };
    running.reconciler.plan().wait_for(shows(40.0)).await.unwrap();
    let start = Instant::now();
    running.reconciler.observe(vec![used(40.5, &running)]).await;
    running.reconciler.plan().wait_for(shows(40.5)).await.unwrap();
    assert_eq!(start.elapsed(), REGULAR);
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_published_and_a_repeated_word_is_not() {
    let running = Running::start();
    let said = limited_for(300, &running);
    running.reconciler.observe(vec![said.clone()]).await;
    running.is_in(State::Limited).await;
    let mut plan = running.reconciler.plan();
    plan.borrow_and_update();
    running.reconciler.observe(vec![said]).await;
    running.objects.send_replace(objects(7));
    plan.changed().await.unwrap();
    let key = plan.borrow().resources.keys().find(|key| key.name == "default/a").cloned().unwrap();
    let penstock_proto::resource::Resource::Account(account) = plan.borrow().resources[&key].resource.clone()
    else {
        panic!("accounts come first")
    };
    assert_eq!(account.priority, 7);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_knows_better_ends_a_limit() {
    let running = Running::start();
    running.reconciler.observe(vec![limited_for(300, &running)]).await;
    running.is_in(State::Limited).await;
    let start = Instant::now();
    running.reconciler.forget_limits(id()).await;
    running.is_in(State::Available).await;
    assert!(start.elapsed() <= BURST, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_is_published_at_once_and_ends_with_its_period() {
    let running = Running::start();
    let (since, next) = budget::around(Period::Day, (running.clock)());
    let (start, end) = (Instant::now(), Duration::try_from(next.duration_since((running.clock)())).unwrap());
    let spent = |micros| [(id(), Spent { since, micros })].into();
    running.reconciler.set_spent(spent(999_999)).await;
    running.is_in(State::Available).await;
    running.reconciler.set_spent(spent(1_000_000)).await;
    running.is_in(State::BudgetExhausted).await;
    assert!(start.elapsed() <= 2 * BURST, "{:?}", start.elapsed());
    running.is_in(State::Available).await;
    assert!(start.elapsed() >= end && start.elapsed() <= end + BURST, "{:?}", start.elapsed());
}
