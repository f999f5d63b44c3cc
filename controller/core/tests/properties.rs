//! Laws of the control loop.

#[path = "common/world.rs"]
mod world;

use std::collections::BTreeMap;

use penstock_controller_core::reconcile;
use penstock_controller_core::snapshot::Viewer;
use penstock_controller_core::world::World;
use penstock_crds::values::Period;
use penstock_proto::ids::{ResourceKey, ResourceKind};
use penstock_proto::limits::{CooldownReason, WindowStatus};
use penstock_proto::resource::Resource;
use proptest::prelude::*;
use world::{Seen, account, add_grant, add_pool, at, id, observation, secret, spend, window};

const SPECS: [&str; 7] = [
    "provider: ollama",
    "provider: anthropic\ncredentials: {secretRef: {name: s}}\nallowedNamespaces: {from: All}",
    "provider: anthropic\ncredentials: {secretRef: {name: missing}}",
    "provider: claude-code\ncredentials: {secretRef: {name: s}}\nlimits: {windowCeilings: {fiveHour: 50}}",
    "provider: openai-compatible\nbaseUrl: nonsense",
    "provider: openai\ncredentials: {secretRef: {name: s}}\nbudget: {period: Day, usd: \"1\"}\npaused: true",
    "provider: openai\ncredentials: {secretRef: {name: s}}\nbudget: {period: Day, usd: \"1\"}",
];
const POOLS: [&str; 3] = [
    "{}",
    "accounts: {refs: [{name: x0}, {name: x1, namespace: n0}, {name: nobody}]}",
    "fallbacks: [{match: {models: [a]}, targets: [{account: x0}, {account: n1/x1}]}]",
];

#[derive(Debug, Clone)]
enum Step {
    Account(usize, usize, usize),
    RemoveAccount(usize, usize),
    Secret(usize, bool),
    Pool(usize, bool, usize),
    Grant(usize),
    Observe(usize, usize, u8, i64),
    Spend(usize, usize, u64),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize, 0..3usize, 0..SPECS.len()).prop_map(|(n, x, s)| Step::Account(n, x, s)),
        (0..3usize, 0..3usize).prop_map(|(n, x)| Step::RemoveAccount(n, x)),
        (0..3usize, any::<bool>()).prop_map(|(n, there)| Step::Secret(n, there)),
        (0..3usize, any::<bool>(), 0..POOLS.len()).prop_map(|(n, default, p)| Step::Pool(n, default, p)),
        (0..3usize).prop_map(Step::Grant),
        (0..3usize, 0..3usize, 0..7u8, 0..50i64)
            .prop_map(|(n, x, what, second)| Step::Observe(n, x, what, second)),
        (0..3usize, 0..3usize, 0..3_000_000u64).prop_map(|(n, x, micros)| Step::Spend(n, x, micros)),
        Just(Step::Settle),
    ]
}

fn seen(name: &str, what: u8, second: i64) -> Seen {
    let seen = observation(name, second);
    match what {
        0 => seen.window("five_hour", window(70.0, Some(second + 20), WindowStatus::Allowed, second)),
        1 => seen.window("seven_day", window(100.0, Some(90), WindowStatus::Rejected, second)),
        2 => seen.cooldown(CooldownReason::QuotaExhausted, None, second + 30),
        3 => seen.cooldown(CooldownReason::Overloaded, Some("m*"), second + 5),
        4 => seen.cooldown(CooldownReason::ServerFault, None, second + 10),
        5 => seen.rejected("0123456789abcdef"),
        _ => {
            let mut seen = seen;
            let scope =
                penstock_proto::limits::CooldownScope { reason: CooldownReason::QuotaExhausted, model: None };
            seen.0.lifts.push((scope, at(second)));
            seen
        }
    }
}

fn take(world: &mut World, step: &Step, now: i64) {
    let mut objects = world.objects.clone();
    match *step {
        Step::Account(n, x, spec) => objects.accounts.extend([account(&format!("n{n}/x{x}"), SPECS[spec])]),
        Step::RemoveAccount(n, x) => drop(objects.accounts.remove(&id(&format!("n{n}/x{x}")))),
        Step::Secret(n, true) => objects.secrets.extend([secret(
            &format!("n{n}/s"),
            &[("apiKey", "k"), ("accessToken", "t"), ("sha256", &"ab".repeat(32))],
        )]),
        Step::Secret(n, false) => drop(objects.secrets.remove(&id(&format!("n{n}/s")))),
        Step::Pool(n, default, spec) => {
            let name = if default { "default" } else { "p" };
            return add_pool(world, &format!("n{n}/{name}"), POOLS[spec]);
        }
        Step::Grant(n) => {
            return add_grant(world, &format!("n{n}/g"), "subjects: [{kind: ClientKey, name: s}]");
        }
        Step::Observe(n, x, what, second) => {
            let _ = world.observe(&seen(&format!("n{n}/x{x}"), what, second).0, at(now));
            return;
        }
        Step::Spend(n, x, micros) => {
            spend(world, &format!("n{n}/x{x}"), Period::Day, micros);
            return;
        }
        Step::Settle => return reconcile(world, at(now)).apply(world),
    }
    world.set_objects(objects);
}

proptest! {
    #[test]
    fn applying_a_plan_leaves_nothing_to_do(steps in prop::collection::vec(step(), 0..40)) {
        let mut world = World::default();
        for (now, step) in steps.iter().enumerate() {
            take(&mut world, step, i64::try_from(now).unwrap());
        }
        let now = at(60);
        let plan = reconcile(&world, now);
        prop_assert_eq!(&reconcile(&world, now), &plan, "the same world and instant give the same plan");
        plan.apply(&mut world);
        // The source shows the objects with their statuses, as after any other change.
        let objects = world.objects.clone();
        world.set_objects(objects);
        let again = reconcile(&world, now);
        prop_assert!(again.writes.is_empty(), "{:?}", again.writes);
        prop_assert!(again.transitions.is_empty(), "{:?}", again.transitions);
        prop_assert_eq!(again.resources, plan.resources);
    }

    #[test]
    fn a_restart_knows_what_was_written(steps in prop::collection::vec(step(), 0..30)) {
        let mut world = World::default();
        for step in &steps {
            take(&mut world, step, 0);
        }
        reconcile(&world, at(60)).apply(&mut world);
        let mut restarted = World::default();
        restarted.set_objects(world.objects.clone());
        prop_assert_eq!(reconcile(&restarted, at(60)).accounts, reconcile(&world, at(60)).accounts);
    }

    #[test]
    fn a_plan_changes_by_itself_only_when_it_says(steps in prop::collection::vec(step(), 0..30), look in 0..200i64) {
        let mut world = World::default();
        for step in &steps {
            take(&mut world, step, 0);
        }
        let now = at(60);
        reconcile(&world, now).apply(&mut world);
        let plan = reconcile(&world, now);
        let later = at(60 + look);
        if plan.next_change.is_none_or(|change| later < change) {
            let same = reconcile(&world, later);
            prop_assert!(same.writes.is_empty() && same.resources == plan.resources, "{:?}", same.writes);
        }
    }

    #[test]
    fn no_view_shows_an_account_that_its_namespaces_may_not_use(steps in prop::collection::vec(step(), 0..40)) {
        let mut world = World::default();
        for step in &steps {
            take(&mut world, step, 0);
        }
        let plan = reconcile(&world, at(60));
        for namespace in ["n0", "n1", "n2"] {
            let view = plan.view(&Viewer::Namespaces([namespace.to_owned()].into()));
            for (key, versioned) in &view.resources {
                match &versioned.resource {
                    Resource::Account(account) => {
                        let open = world.objects.accounts[&account.id].spec.allowed_namespaces.is_some();
                        prop_assert!(open || account.id.namespace() == namespace, "{namespace} sees {}", account.id);
                    }
                    Resource::Pool(pool) => {
                        prop_assert_eq!(pool.id.namespace(), namespace);
                        // What a pool names is seen with it.
                        for account in &pool.accounts {
                            prop_assert!(plan.usable[namespace].contains(account));
                        }
                    }
                    Resource::AccountState(account, _) => prop_assert!(plan.usable[namespace].contains(account)),
                    Resource::Grant(_, grant) => prop_assert_eq!(&grant.namespace, namespace),
                    Resource::TokenIssuer(_) => prop_assert!(false, "a sidecar has nobody to tell apart"),
                }
                prop_assert!(!matches!(key.kind, ResourceKind::Other(_)));
            }
            // Everything that it may see is in it.
            let usable = plan.usable.get(namespace);
            let sees = |key: &&ResourceKey| match key.kind {
                ResourceKind::Account | ResourceKind::AccountState => {
                    usable.into_iter().flatten().any(|account| account.as_str() == key.name)
                }
                _ => key.name.starts_with(&format!("{namespace}/")),
            };
            let wanted: Vec<_> = plan.resources.keys().filter(sees).collect();
            prop_assert_eq!(view.resources.keys().collect::<Vec<_>>(), wanted);
            prop_assert!(view.update(&view.held(), at(60)).changes.is_empty());
            prop_assert_eq!(view.update(&BTreeMap::new(), at(60)).changes.len(), view.resources.len());
        }
    }
}
