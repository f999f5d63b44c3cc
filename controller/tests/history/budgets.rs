//! What accounts have spent, from the sums, as far as the published plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use penstock_controller::budget::Budgets;
use penstock_controller::metrics::ReconcileMetrics;
use penstock_controller::proxies::Registry;
use penstock_controller::reconcile::{self, Reconciler};
use penstock_controller::store::Store;
use penstock_controller::store::postgres::Target;
use penstock_controller_core::budget::Spent;
use penstock_controller_core::objects::{Objects, SecretObject};
use penstock_crds::account::status::State;
use penstock_proto::ids::AccountId;
use penstock_proto::secret::Secret;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{at, database, event, priced};

const NOW: &str = "2026-11-21T14:00:00Z";

fn id(raw: &str) -> AccountId {
    raw.parse().expect("a name")
}

/// Two accounts of which the first has a budget.
fn objects(usd: &str) -> Arc<Objects> {
    let account = |name: &str, budget: Option<&str>| {
        let budget = budget.map(|usd| json!({"period": "Month", "usd": usd}));
        let object = json!({
            "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount",
            "metadata": {"name": name, "namespace": "llm"},
            "spec": {"provider": "anthropic", "credentials": {"secretRef": {"name": "s"}}, "budget": budget},
        });
        (id(&format!("llm/{name}")), Arc::new(serde_json::from_value(object).expect("an account")))
    };
    let data = BTreeMap::from([("apiKey".to_owned(), Secret::new("sk-1"))]);
    let secret = (id("llm/s"), Arc::new(SecretObject { data, ..SecretObject::default() }));
    Arc::new(Objects {
        accounts: [account("a", Some(usd)), account("b", None)].into(),
        secrets: [secret].into(),
        ..Objects::default()
    })
}

/// A controller as far as budgets go, since its start.
struct Running {
    objects: watch::Sender<Arc<Objects>>,
    reconciler: Reconciler,
    _tasks: JoinSet<()>,
}

impl Running {
    fn start(store: &Store, usd: &str) -> Self {
        let (objects, objects_rx) = watch::channel(objects(usd));
        let clock: reconcile::Clock = Arc::new(|| at(NOW));
        let (reconciler, deciding) = reconcile::channel(
            objects_rx.clone(),
            Registry::default(),
            Arc::clone(&clock),
            ReconcileMetrics::default(),
        );
        let budgets = Budgets { objects: objects_rx, reconciler: reconciler.clone(), clock };
        let (mut tasks, store) = (JoinSet::new(), store.clone());
        tasks.spawn(deciding.run(CancellationToken::new()));
        tasks.spawn(async move { budgets.run(&store).await });
        Self { objects, reconciler, _tasks: tasks }
    }

    async fn is_in(&self, state: State) {
        let mut plan = self.reconciler.plan();
        let plan = plan.wait_for(|plan| plan.accounts[&id("llm/a")].state == Some(state)).await;
        let other = &plan.expect("a plan").accounts[&id("llm/b")];
        assert_eq!(other.state, Some(State::Available), "an account without a budget is never out of it");
    }
}

#[tokio::test]
async fn what_was_spent_is_counted_from_the_beginning_of_the_period_and_by_account() {
    let database = database().await;
    let store = &database.store;
    let times = ["2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-11-20T10:00:00Z", NOW];
    let mut stored: Vec<_> = times.into_iter().map(|time| priced(event(at(time), 1))).collect();
    let mut without_price = priced(event(at(NOW), 2));
    without_price.cost_nano_usd = None;
    let mut smallest = priced(event(at(NOW), 3));
    smallest.cost_nano_usd = Some(1);
    let mut of_another = priced(event(at(NOW), 4));
    of_another.event.account = Some(id("llm/b"));
    stored.extend([without_price, smallest, of_another]);
    store.write(&stored).await.expect("stored");
    store.write(&stored).await.expect("a replay changes nothing");

    let ask =
        async |since: &str| store.spent(at(since), &[id("llm/a"), id("llm/new")]).await.expect("an answer");
    let spent =
        |since: &str, micros| (Spent { since: at(since), micros }, Spent { since: at(since), micros: 0 });
    for (since, micros) in [("2026-11-01T00:00:00Z", 3_000_001), ("2026-11-21T00:00:00Z", 1_000_001)] {
        let (of_a, of_new) = spent(since, micros);
        assert_eq!(ask(since).await, BTreeMap::from([(id("llm/a"), of_a), (id("llm/new"), of_new)]));
    }
}

#[tokio::test]
async fn an_account_that_spends_its_budget_is_set_aside_and_stays_so_over_a_restart() {
    let database = database().await;
    let running = Running::start(&database.store, "2");
    running.is_in(State::Available).await;
    let spend = async |seq| {
        let event = event(at(NOW) - 1.hour(), seq);
        database.store.write(&[priced(event)]).await.expect("stored");
    };
    spend(1).await;
    spend(2).await;
    running.is_in(State::BudgetExhausted).await;
    let again = Running::start(&database.store, "2");
    again.is_in(State::BudgetExhausted).await;
    again.objects.send_replace(objects("3"));
    again.is_in(State::Available).await;
}

#[tokio::test]
async fn while_the_database_is_away_budgets_stand_as_they_were() {
    let nowhere = Target::parse("host=/nowhere user=nobody", None).expect("an address");
    let nowhere = Store::new(nowhere).expect("a pool");
    let mut spent = Arc::unwrap_or_clone(objects("2"));
    let account = spent.accounts.get_mut(&id("llm/a")).expect("the account");
    let limited_until: Timestamp = at("2026-12-01T00:00:00Z");
    let status = json!({"state": "BudgetExhausted", "limitedUntil": limited_until});
    Arc::make_mut(account).status = Some(serde_json::from_value(status).expect("a status"));
    let running = Running::start(&nowhere, "2");
    running.is_in(State::Available).await;
    running.objects.send_replace(Arc::new(spent));
    running.is_in(State::BudgetExhausted).await;
}
