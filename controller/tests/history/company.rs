//! Several controllers on one database: who is there, and live views that show what all of them store.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_controller::fleet::Fleet;
use penstock_controller::ingest::{self, Ingest, Ingester, Live};
use penstock_controller::proxies::Registry;
use penstock_controller::store::Store;
use penstock_controller::store::announce::NAMED;
use penstock_controller::store::controllers::Presence;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Database, at, database, event, events};

struct Controller {
    fleet: Fleet,
    registry: Registry,
    store: Store,
    ingest: Ingest,
    ingester: Option<Ingester>,
}

impl Controller {
    fn of(database: &Database) -> Self {
        let store = Store::new(&database.config).expect("a pool");
        let registry = Registry::default();
        let fleet = Fleet::new(registry.clone(), true);
        let (ingest, ingester) = ingest::channel(store.clone(), Arc::new(|_| Some(1)));
        let ingester = Some(ingester.among(fleet.id(), fleet.accompanied()));
        Self { fleet, registry, store, ingest, ingester }
    }

    async fn run(&self, ingester: Option<Ingester>, stop: CancellationToken) {
        tokio::select! {
            () = ingester.expect("taken once").run(stop) => {}
            () = self.fleet.run(&self.store) => {}
        }
        self.fleet.leave(&self.store).await;
    }

    async fn sees_others(&self, others: bool) {
        self.fleet.accompanied().wait_for(|seen| *seen == others).await.expect("it lives");
    }
}

/// Until this reader is shown a row or is told of more; whether the other controller listens already is
/// seen by nothing else.
async fn heard(live: &mut Receiver<Live>, storing: &Ingest) -> Live {
    let mut seq = 0;
    loop {
        seq += 1;
        storing.submit(vec![event(at("2026-11-20T12:00:00Z"), seq)]).await.expect("stored");
        if let Ok(live) = live.try_recv() {
            return live;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_live_view_shows_what_the_other_controller_stores() {
    let database = database().await;
    let (mut a, mut b) = (Controller::of(&database), Controller::of(&database));
    let ingesters = (a.ingester.take(), b.ingester.take());
    let (stop_a, stop_b) = (CancellationToken::new(), CancellationToken::new());
    let mut live = a.ingest.live();
    let work = async {
        a.sees_others(true).await;
        b.sees_others(true).await;
        heard(&mut live, &b.ingest).await;
        let marker = event(at("2026-11-21T12:00:00Z"), 1);
        b.ingest.submit(vec![marker.clone()]).await.expect("stored");
        let row = database.store.request(marker.id).await.expect("an answer").expect("a row");
        let row = Live::Stored(Arc::new(row));
        while live.recv().await.expect("not too much") != row {}

        let many = events(at("2026-11-22T12:00:00Z"), NAMED as u64 + 10);
        b.ingest.submit(many).await.expect("stored");
        for _ in 0..NAMED {
            assert!(matches!(live.recv().await, Ok(Live::Stored(_))));
        }
        assert_eq!(live.recv().await, Ok(Live::Missed(10)));
        // What it stores itself it shows once.
        let own = event(at("2026-11-23T12:00:00Z"), 1);
        a.ingest.submit(vec![own.clone()]).await.expect("stored");
        b.ingest.submit(vec![event(at("2026-11-23T12:00:00Z"), 2)]).await.expect("stored");
        let shown = [live.recv().await.expect("a row"), live.recv().await.expect("a row")];
        let ids = shown.map(|live| if let Live::Stored(row) = live { row.id } else { Uuid::nil() });
        assert_eq!(ids.iter().filter(|id| **id == own.id).count(), 1);

        stop_b.cancel();
        a.sees_others(false).await;
        stop_a.cancel();
    };
    tokio::join!(work, a.run(ingesters.0, stop_a.clone()), b.run(ingesters.1, stop_b.clone()));
}

#[tokio::test]
async fn accounts_are_counted_over_the_proxies_of_all_controllers() {
    let database = database().await;
    let mut a = Controller::of(&database);
    let other = Presence {
        id: Uuid::now_v7(),
        name: "b".into(),
        proxies: json!([]),
        in_use_by: BTreeMap::from([("llm/a".to_owned(), 3)]),
    };
    database.store.appear(&other).await.expect("there");
    let (ingester, stop) = (a.ingester.take(), CancellationToken::new());
    let mut changes = a.registry.changes();
    let work = async {
        let count = || a.registry.in_use_by().into_iter().map(|(id, n)| (id.as_str().to_owned(), n)).next();
        changes.wait_for(|_| count() == Some(("llm/a".to_owned(), 3))).await.expect("it lives");
        let others = database.store.others(a.fleet.id()).await.expect("an answer");
        assert_eq!(others, std::slice::from_ref(&other));
        database.store.disappear(other.id).await.expect("gone");
        changes.wait_for(|_| count().is_none()).await.expect("it lives");
        stop.cancel();
    };
    tokio::join!(work, a.run(ingester, stop.clone()));
    assert_eq!(database.number("SELECT count(*) FROM controllers").await, 0, "it took leave");
}
