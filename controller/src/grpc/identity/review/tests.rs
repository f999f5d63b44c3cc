use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use super::*;

/// An API server that knows tokens of `search/crawler`, and counts what it is asked.
#[derive(Default)]
struct Fake {
    asked: AtomicUsize,
    away: AtomicBool,
    now: AtomicI64,
}

struct Handle(Arc<Fake>);

impl Reviewer for Handle {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenReviewStatus, anyhow::Error>> {
        Box::pin(async move {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            anyhow::ensure!(!self.0.away.load(Ordering::Relaxed), "connection refused");
            if !token.starts_with("good.") {
                return Ok(TokenReviewStatus::default());
            }
            let user = json!({"username": "system:serviceaccount:search:crawler"});
            let status = json!({"authenticated": true, "audiences": ["penstock"], "user": user});
            Ok(serde_json::from_value(status).unwrap())
        })
    }
}

impl Fake {
    fn reviews(self: &Arc<Self>) -> Reviews {
        let fake = Arc::clone(self);
        let clock: Clock =
            Arc::new(move || Timestamp::from_second(fake.now.load(Ordering::Relaxed)).unwrap());
        Reviews::new(Box::new(Handle(Arc::clone(self))), Gateways::default(), clock, Asked::default())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn at(&self, second: i64) {
        self.now.store(second, Ordering::Relaxed);
    }
}

/// One that ends at second 3600.
fn good() -> String {
    format!("good.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"exp":3600}"#))
}

#[tokio::test]
async fn the_api_server_is_asked_once_however_many_ask_us() {
    let fake = Arc::<Fake>::default();
    let reviews = fake.reviews();
    let token = good();
    let answers = join_all((0..100).map(|_| reviews.whose(&token))).await;
    for answer in answers {
        let (workload, viewer) = answer.unwrap();
        assert_eq!((workload.namespace.as_str(), workload.service_account.as_str()), ("search", "crawler"));
        assert_eq!(viewer, Viewer::Namespaces(["search".to_owned()].into()));
    }
    assert_eq!(fake.asked(), 1);
    fake.at(299);
    reviews.whose(&token).await.unwrap();
    assert_eq!(fake.asked(), 1);
    fake.at(300);
    reviews.whose(&token).await.unwrap();
    assert_eq!(fake.asked(), 2, "a ServiceAccount may have been deleted since");
}

#[tokio::test]
async fn while_the_api_server_is_away_a_known_token_counts_until_it_ends_and_another_may_try_again() {
    let fake = Arc::<Fake>::default();
    let reviews = fake.reviews();
    reviews.whose(&good()).await.unwrap();
    fake.away.store(true, Ordering::Relaxed);
    fake.at(3_599);
    assert!(reviews.whose(&good()).await.is_ok());
    fake.at(3_600);
    assert_eq!(reviews.whose(&good()).await, Err(Unproven::Unknown));
    assert_eq!(reviews.whose("good.new.sig").await, Err(Unproven::Unknown));
    fake.away.store(false, Ordering::Relaxed);
    assert!(reviews.whose("good.new.sig").await.is_ok());
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_refused_and_not_asked_about_at_every_try() {
    let fake = Arc::<Fake>::default();
    let reviews = fake.reviews();
    for _ in 0..10 {
        assert_eq!(reviews.whose("bad").await, Err(Unproven::Refused));
    }
    assert_eq!(fake.asked(), 1);
    fake.at(5);
    assert_eq!(reviews.whose("bad").await, Err(Unproven::Refused));
    assert_eq!(fake.asked(), 2);
    for never in ["", &"x".repeat(LONGEST_TOKEN + 1)] {
        assert_eq!(reviews.whose(never).await, Err(Unproven::Refused));
    }
    assert_eq!(fake.asked(), 2);
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_takes_no_more_than_its_room() {
    let fake = Arc::<Fake>::default();
    let reviews = fake.reviews();
    for number in 0..CAPACITY + 5 {
        let _ = reviews.whose(&format!("bad {number}")).await;
    }
    assert!(reviews.known.len() <= CAPACITY);
}
