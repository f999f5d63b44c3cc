//! Laws of the pool, and the machine looking for the exception.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::snapshot::Account;
use penstock_proxy_core::attempt::{Attempts, MOST_SENT, Step};
use penstock_proxy_core::classify::TransportError;
use proptest::prelude::*;

use crate::support::answers::Answer;
use crate::support::{Proxy, account, id, pool, request, session, start};

/// Eight days and the second that rounding up may add.
const LONGEST: Duration = Duration::from_secs(8 * 86_400);

/// Any answer that a provider may give.
fn any_answer() -> impl Strategy<Value = Answer> {
    let limited = (0usize..4, -5i64..2_000_000).prop_map(|(window, seconds)| {
        let window = ["5h", "7d", "7d_oi", "7d_opus"][window];
        Answer::window_rejected(window, SignedDuration::from_secs(seconds), start())
    });
    let throttled =
        prop_oneof![Just("0"), Just("-1"), Just("1.5"), Just("30"), Just("9999999999"), Just("x")]
            .prop_map(|wait| Answer::status(429, "rate_limit_error", "m").header("retry-after", wait));
    let status = prop_oneof![
        Just((401, "authentication_error")),
        Just((402, "billing_error")),
        Just((403, "permission_error")),
        Just((404, "not_found_error")),
        Just((429, "rate_limit_error")),
        Just((500, "api_error")),
        Just((503, "api_error")),
        Just((529, "overloaded_error")),
    ];
    let status = status.prop_map(|(status, kind)| Answer::status(status, kind, "model: claude-opus-5"));
    let failure = prop_oneof![Just(TransportError::Connect), Just(TransportError::Timeout)];
    let event = prop_oneof![Just("overloaded_error"), Just("rate_limit_error"), Just("api_error")];
    let event = event.prop_map(|kind| Answer::ErrorEvent {
        body: format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#),
    });
    prop_oneof![3 => limited, 2 => throttled, 5 => status, 1 => failure.prop_map(Answer::Failure), 1 => event]
}

fn accounts(count: usize) -> Vec<Account> {
    (0..count).map(|n| account(&format!("a{n}"))).collect()
}

fn proxy_of(count: usize) -> Proxy {
    let accounts = accounts(count);
    let pool = pool(&accounts);
    Proxy::new(accounts, pool, start())
}

/// Where each of these sessions goes.
fn places(proxy: &mut Proxy, sessions: u64, now: Timestamp) -> BTreeMap<u64, String> {
    (0..sessions)
        .filter_map(|n| Some((n, proxy.first_choice(request(Some(session(n)), now), now)?)))
        .collect()
}

/// Makes an account known to be limited, by an answer to a request that was forced onto it.
fn limit(proxy: &mut Proxy, name: &str, answer: &Answer, now: Timestamp) {
    let mut forced = request(None, now);
    forced.forced = Some(name.to_owned());
    let mut attempts = Attempts::new(forced);
    let Step::Try(choice) = proxy.next(&mut attempts, now) else { panic!("{name} cannot be forced") };
    proxy.answer(&mut attempts, answer, &choice.model, now);
    proxy.live.release(choice.ticket, now);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_attempt_sequence_ends_and_never_tries_a_known_limit(
        count in 0usize..12,
        answers in prop::collection::vec(any_answer(), 80),
        hold in 0u64..120,
        attempts_allowed in 1u32..10,
        replayable in any::<bool>(),
    ) {
        let accounts = accounts(count);
        let settings = penstock_proto::snapshot::Pool {
            hold: Duration::from_secs(hold),
            attempts: attempts_allowed,
            ..pool(&accounts)
        };
        let mut proxy = Proxy::new(accounts, settings, start());
        let mut now = start();
        let mut asked = request(Some(session(1)), now);
        asked.replayable = replayable;
        let deadline = asked.deadline;
        let mut attempts = Attempts::new(asked);
        let mut answers = answers.iter().cycle();
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 100_000);
            match proxy.next(&mut attempts, now) {
                Step::Try(choice) => {
                    let limits = proxy.live.limits(choice.candidate.id());
                    let whole = |limits: &penstock_proto::limits::Limits| {
                        limits.in_force(now).any(|(scope, _)| scope.model.is_none())
                    };
                    prop_assert!(!limits.is_some_and(whole), "a limited account was chosen");
                    now += SignedDuration::from_millis(200);
                    proxy.answer(&mut attempts, answers.next().unwrap(), &choice.model, now);
                    proxy.live.release(choice.ticket, now);
                }
                Step::WaitUntil(until) => {
                    prop_assert!(until > now, "a wait into the past");
                    now = until;
                }
                Step::GiveUp(exhausted) => {
                    if let Some(wait) = exhausted.retry_after {
                        prop_assert!(wait >= Duration::from_secs(1) && wait <= LONGEST, "{wait:?}");
                    }
                    prop_assert!(!exhausted.message.contains("key of"), "a secret in {}", exhausted.message);
                    break;
                }
            }
        }
        prop_assert!(attempts.made().len() <= MOST_SENT);
        prop_assert!(now <= deadline + SignedDuration::from_secs(1));
        for account in &proxy.snapshot.accounts {
            prop_assert_eq!(proxy.live.in_flight(account.0), 0);
        }
    }

    #[test]
    fn proxies_with_the_same_state_choose_the_same_account_for_a_session(
        count in 1usize..12, sessions in 1u64..40, limited in prop::collection::vec(0usize..12, 0..4),
    ) {
        let (mut one, mut other) = (proxy_of(count), proxy_of(count));
        let answer = Answer::window_rejected("5h", SignedDuration::from_hours(1), start());
        for n in limited.iter().filter(|n| **n < count) {
            let name = format!("a{n}");
            let Some(learned) = learned(&mut one, &name, &answer) else { continue };
            one.push(&learned, start());
            other.push(&learned, start());
        }
        // Long enough that no account is still taking over step by step.
        let later = start() + SignedDuration::from_mins(1);
        // The other one sees them in another order.
        let mut reversed = BTreeMap::new();
        for n in (0..sessions).rev() {
            if let Some(name) = other.first_choice(request(Some(session(n)), later), later) {
                reversed.insert(n, name);
            }
        }
        prop_assert_eq!(places(&mut one, sessions, later), reversed);
    }

    #[test]
    fn priorities_are_respected(priorities in prop::collection::vec(0u8..4, 1..8), key in any::<u64>()) {
        let mut accounts = accounts(priorities.len());
        for (account, priority) in accounts.iter_mut().zip(&priorities) {
            account.priority = *priority;
        }
        let settings = pool(&accounts);
        let mut proxy = Proxy::new(accounts, settings, start());
        let mut attempts = Attempts::new(request(Some(session(key)), start()));
        let mut tried = Vec::new();
        while let Step::Try(choice) = proxy.next(&mut attempts, start()) {
            tried.push(choice.candidate.account.priority);
            let answer = Answer::window_rejected("5h", SignedDuration::from_hours(1), start());
            proxy.answer(&mut attempts, &answer, &choice.model, start());
            proxy.live.release(choice.ticket, start());
        }
        let mut sorted = priorities.clone();
        sorted.sort_unstable();
        prop_assert_eq!(tried, sorted);
    }

    #[test]
    fn the_order_in_which_reports_arrive_does_not_matter(
        answers in prop::collection::vec((0usize..3, any_answer()), 1..10), rotate in 0usize..10,
    ) {
        let mut source = proxy_of(3);
        let mut reports: Vec<_> =
            answers.iter().filter_map(|(n, answer)| learned(&mut source, &format!("a{n}"), answer)).collect();
        let (mut straight, mut mixed) = (proxy_of(3), proxy_of(3));
        for report in &reports {
            straight.live.observe(report, start());
        }
        if !reports.is_empty() {
            let middle = rotate % reports.len();
            reports.rotate_left(middle);
        }
        for report in reports.iter().chain(reports.iter().rev()) {
            mixed.live.observe(report, start());
        }
        for n in 0..3 {
            let name = id(&format!("a{n}"));
            prop_assert_eq!(straight.live.limits(&name), mixed.live.limits(&name));
        }
    }
}

/// What one proxy would report of this answer of this account.
fn learned(
    proxy: &mut Proxy,
    name: &str,
    answer: &Answer,
) -> Option<penstock_proto::observation::Observation> {
    let mut forced = request(None, start());
    forced.forced = Some(name.to_owned());
    let mut attempts = Attempts::new(forced);
    let Step::Try(choice) = proxy.next(&mut attempts, start()) else { return None };
    let (_, learned) = proxy.answer(&mut attempts, answer, &choice.model, start());
    proxy.live.release(choice.ticket, start());
    learned
}

#[test]
fn losing_one_account_moves_only_its_sessions_and_spreads_them() {
    let mut proxy = proxy_of(6);
    let before = places(&mut proxy, 600, start());
    let answer = Answer::window_rejected("5h", SignedDuration::from_hours(1), start());
    limit(&mut proxy, "a2", &answer, start());
    let later = start() + SignedDuration::from_mins(1);
    let after = places(&mut proxy, 600, later);
    let mut moved_to: BTreeMap<&str, u32> = BTreeMap::new();
    for (key, place) in &before {
        if place == "a2" {
            *moved_to.entry(after[key].as_str()).or_default() += 1;
        } else {
            assert_eq!(after[key], *place, "session {key} was not concerned");
        }
    }
    assert_eq!(moved_to.len(), 5, "{moved_to:?}");
    assert!(moved_to.values().all(|count| *count >= 8), "{moved_to:?}");
}

#[test]
fn sessions_of_a_new_proxy_spread_over_all_accounts() {
    let mut proxy = proxy_of(5);
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for name in places(&mut proxy, 1000, start()).into_values() {
        *count.entry(name).or_default() += 1;
    }
    assert!(count.len() == 5 && count.values().all(|count| (150..=250).contains(count)), "{count:?}");
}

#[test]
fn a_fresher_lift_restores_an_account_and_an_older_answer_does_not() {
    let mut proxy = proxy_of(1);
    let at = |seconds| start() + SignedDuration::from_secs(seconds);
    // Two requests are in flight; the second is sent before the first one's refusal is seen.
    let mut first = Attempts::new(request(None, at(0)));
    let Step::Try(refused) = proxy.next(&mut first, at(0)) else { panic!("no try") };
    let mut second = Attempts::new(request(None, at(1)));
    let Step::Try(served) = proxy.next(&mut second, at(1)) else { panic!("no try") };
    let answer = Answer::window_rejected("5h", SignedDuration::from_hours(1), at(2));
    proxy.answer(&mut first, &answer, &refused.model, at(2));
    proxy.answer(&mut second, &Answer::ok(), &served.model, at(3));
    proxy.live.release(refused.ticket, at(3));
    proxy.live.release(served.ticket, at(3));
    let still = proxy.first_choice(request(None, at(4)), at(4));
    assert_eq!(still, None, "an answer to a request sent before the limit was noticed lifted it");
    // The controller learned of a reset out of band.
    let mut lift = penstock_proto::observation::Observation::about(id("a0"), at(5));
    let scope = proxy.live.limits(&id("a0")).unwrap().cooldowns().next().unwrap().0.clone();
    lift.lifts.push((scope, at(5)));
    proxy.push(&lift, at(5));
    assert_eq!(proxy.first_choice(request(None, at(6)), at(6)).as_deref(), Some("a0"));
}

#[test]
fn an_account_that_takes_over_takes_more_step_by_step() {
    let mut proxy = proxy_of(2);
    let home = |proxy: &mut Proxy, n| proxy.first_choice(request(Some(session(n)), start()), start());
    let of_first: Vec<u64> = (0..400).filter(|n| home(&mut proxy, *n).as_deref() == Some("a0")).collect();
    let answer = Answer::window_rejected("5h", SignedDuration::from_hours(1), start());
    limit(&mut proxy, "a0", &answer, start());
    // All of its conversations ask at once, again and again, until each has been taken.
    let mut waiting = of_first;
    let mut in_flight = Vec::new();
    let at = |millis| start() + SignedDuration::from_millis(millis);
    for (millis, expected) in [(0, 1), (249, 1), (250, 2), (500, 3), (1_500, 7), (29_999, 120), (30_000, 500)]
    {
        waiting.retain(|n| {
            let taken = in_flight.len();
            let mut attempts = Attempts::new(request(Some(session(*n)), at(millis)));
            match proxy.next(&mut attempts, at(millis)) {
                Step::Try(choice) => in_flight.push(choice.ticket),
                Step::WaitUntil(until) => assert!(until > at(millis)),
                Step::GiveUp(exhausted) => panic!("{exhausted:?}"),
            }
            in_flight.len() == taken
        });
        let all = in_flight.len() + waiting.len();
        assert_eq!(in_flight.len(), expected.min(all), "after {millis} ms");
    }
}
