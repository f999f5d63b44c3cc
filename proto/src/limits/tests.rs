//! Laws of the join.

use super::*;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn quota() -> CooldownScope {
    CooldownScope { reason: CooldownReason::QuotaExhausted, model: None }
}

#[derive(Debug, Clone)]
enum Seen {
    Window(u8, f64, i64, i64),
    Cooldown(i64, i64),
    Lift(i64),
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        (0u8..3, 0.0f64..120.0, 0i64..9, 0i64..6).prop_map(|(n, u, r, o)| Seen::Window(n, u, r, o)),
        (0i64..40, 0i64..8).prop_map(|(until, at)| Seen::Cooldown(until, at)),
        (0i64..8).prop_map(Seen::Lift),
    ]
}

fn limits(seen: &[Seen]) -> Limits {
    let mut limits = Limits::default();
    for one in seen {
        match *one {
            Seen::Window(name, utilization, resets, observed) => {
                let window = Window {
                    utilization,
                    resets_at: Some(at(resets)),
                    status: WindowStatus::Allowed,
                    remaining: None,
                    observed_at: at(observed),
                };
                limits.observe_window(&name.to_string(), window);
            }
            Seen::Cooldown(until, observed) => {
                let cooldown = Cooldown { until: at(until), observed_at: at(observed) };
                limits.observe_cooldown(quota(), cooldown);
            }
            Seen::Lift(observed) => limits.lift(quota(), at(observed)),
        }
    }
    limits
}

proptest! {
    #[test]
    fn any_order_and_repetition_of_observations_converges(
        all in prop::collection::vec(seen(), 0..12), cut in 0usize..12, shuffle in any::<u64>()
    ) {
        let straight = limits(&all);
        let mut mixed = all.clone();
        mixed.sort_by_key(|s| format!("{s:?}{shuffle}").bytes().fold(shuffle, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b))));
        mixed.extend(all.iter().cloned());
        prop_assert_eq!(&limits(&mixed), &straight);

        let (a, b) = all.split_at(cut.min(all.len()));
        let (mut left, mut right) = (limits(a), limits(b));
        left.join(&limits(b));
        right.join(&limits(a));
        prop_assert_eq!(&left, &straight);
        prop_assert_eq!(&right, &straight);
    }
}

#[test]
fn a_limit_never_shortens_one_that_lasts_longer_until_a_fresher_word_lifts_it() {
    let mut limits = Limits::default();
    limits.observe_cooldown(quota(), Cooldown { until: at(100), observed_at: at(0) });
    limits.observe_cooldown(quota(), Cooldown { until: at(10), observed_at: at(2) });
    assert_eq!(limits.in_force(at(3)).next().map(|(_, until)| until), Some(at(100)));
    limits.lift(quota(), at(1));
    assert_eq!(limits.in_force(at(3)).next().map(|(_, until)| until), Some(at(10)));
}

#[test]
fn a_window_whose_reset_has_passed_is_unstarted_not_full() {
    let window = Window {
        utilization: 100.0,
        resets_at: Some(at(5)),
        status: WindowStatus::Rejected,
        remaining: Some(0),
        observed_at: at(0),
    };
    assert!((window.at(at(4)).utilization - 100.0).abs() < f64::EPSILON);
    assert_eq!(window.at(at(5)).status, WindowStatus::Unknown);
    assert!(!window.rolled_over_to(&Window { resets_at: Some(at(65)), ..window }));
    assert!(window.rolled_over_to(&Window { resets_at: Some(at(66)), ..window }));
}

#[test]
fn globs() {
    for (glob, text, expected) in [
        ("claude-*", "claude-opus-5", true),
        ("*", "", true),
        ("claude-*-5", "claude-opus-4-5", true),
        ("claude-*-5", "claude-opus-4-6", false),
        ("gpt-5", "GPT-5", true),
        ("gpt-5", "gpt-5-mini", false),
    ] {
        assert_eq!(glob_matches(glob, text), expected, "{glob} {text}");
    }
}
