//! Hours of traffic in virtual time: clients with conversations, several proxies, a controller that passes
//! reports on a little later, and accounts whose windows really fill and reset.

mod model;
mod run;

use jiff::SignedDuration;

use model::{Faults, Plan};
use run::run;

#[test]
fn no_request_goes_to_an_account_between_its_refusal_and_its_reset_but_those_in_flight() {
    for seed in 0..3 {
        let plan = Plan { accounts: 4, window_quota: 60, clients: 12, proxies: 1, seed, ..Plan::default() };
        let seen = run(&plan);
        assert!(seen.refused > 0, "the windows never filled: {seen:?}");
        assert_eq!(seen.sent_to_limited, 0, "{seen:?}");
    }
}

#[test]
fn with_several_proxies_only_what_was_sent_before_the_push_arrived_is_refused() {
    for seed in 0..2 {
        let plan = Plan { accounts: 4, window_quota: 60, clients: 24, proxies: 5, seed, ..Plan::default() };
        let seen = run(&plan);
        assert!(seen.refused > 0, "{seen:?}");
        assert_eq!(seen.sent_to_limited_after_push, 0, "{seen:?}");
    }
}

#[test]
fn every_request_is_answered_while_an_account_is_healthy() {
    for seed in 0..3 {
        let faults = Faults { overloaded: 0.1, server_fault: 0.01, unreachable: 0.05, refused: 0.05 };
        // The last account has room for everyone and never fails.
        let plan = Plan {
            accounts: 5,
            window_quota: 40,
            clients: 10,
            faults,
            healthy_last: true,
            seed,
            ..Plan::default()
        };
        let seen = run(&plan);
        assert_eq!(seen.given_up, 0, "{seen:?}");
        assert!(seen.served > 300, "{seen:?}");
    }
}

#[test]
fn load_spreads_over_accounts_of_the_same_priority() {
    let plan = Plan { accounts: 5, window_quota: 1_000_000, clients: 200, seed: 3, ..Plan::default() };
    let seen = run(&plan);
    let mean = seen.served / seen.per_account.len();
    assert!(seen.per_account.iter().all(|served| *served > mean / 2 && *served < mean * 2), "{seen:?}");
}

#[test]
fn a_conversation_changes_its_account_only_when_it_has_to() {
    let plan = Plan { accounts: 5, window_quota: 1_000_000, clients: 50, seed: 4, ..Plan::default() };
    let seen = run(&plan);
    assert_eq!(seen.moves, 0, "{seen:?}");
    // Within one window: what an account has when it is lost moves, and nothing else.
    let plan = Plan { window_quota: 60, length: SignedDuration::from_mins(9), ..plan };
    let seen = run(&plan);
    assert!(seen.refused > 0 && seen.moves > 0 && seen.moves <= 5 * 50, "{seen:?}");
}

#[test]
fn a_pool_that_is_all_used_up_says_so_and_comes_back() {
    let plan = Plan { accounts: 2, window_quota: 10, clients: 8, seed: 5, ..Plan::default() };
    let seen = run(&plan);
    assert!(seen.given_up > 0 && seen.served_after_giving_up > 0, "{seen:?}");
    assert_eq!(seen.sent_to_limited, 0, "{seen:?}");
}
