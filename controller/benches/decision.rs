//! How long a decision takes: of so many accounts, each with a Secret of its own, a hundred in each namespace.
//! Prints; judges nothing.
//!
//! `cargo bench -p penstock-controller --bench decision`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use penstock_controller_core::objects::{Objects, SecretObject};
use penstock_controller_core::{Secret, World, reconcile};
use penstock_crds::ProviderAccount;
use serde_json::json;

/// In each namespace.
const TOGETHER: usize = 100;
/// Decisions that are timed.
const ROUNDS: usize = 21;

fn main() {
    for accounts in [100, 1_000, 10_000] {
        let now = Timestamp::now();
        let mut world = World::default();
        world.set_objects(objects(accounts));
        let first = reconcile(&world, now);
        first.apply(&mut world);
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let began = Instant::now();
                std::hint::black_box(reconcile(&world, now));
                began.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("{accounts} accounts: {:.1?} for a decision (median of {ROUNDS})", times[ROUNDS / 2]);
    }
}

fn objects(accounts: usize) -> Objects {
    let mut objects = Objects::default();
    for number in 0..accounts {
        let (namespace, name) = (format!("team-{:03}", number / TOGETHER), format!("account-{number:05}"));
        let account = json!({
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "ProviderAccount",
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1", "generation": 1},
            "spec": {"provider": "anthropic", "credentials": {"secretRef": {"name": name}}},
        });
        let account: ProviderAccount = serde_json::from_value(account).expect("an account");
        let id = penstock_proto::ids::ObjectId::new(&namespace, &name).expect("names of Kubernetes");
        let data = BTreeMap::from([("apiKey".to_owned(), Secret::new(format!("sk-ant-{number}")))]);
        objects.secrets.insert(id.clone(), Arc::new(SecretObject { labels: BTreeMap::new(), data }));
        objects.accounts.insert(id, Arc::new(account));
        objects.namespaces.entry(namespace).or_default();
    }
    objects
}
