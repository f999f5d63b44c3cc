//! The order in which accounts are preferred for a request: less is better.
//!
//! The owner's priority first, then the providers' order of the route, then the pool's strategy.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::{Limits, Window};
use penstock_proto::snapshot::Strategy;

use super::Query;
use crate::live::LiveAccount;
use crate::pool::Candidate;

/// Where an account stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    priority: u8,
    rank: u8,
    strategy: u64,
    hash: Reverse<u64>,
    place: usize,
}

/// Computes it.
pub(super) fn order(
    candidate: &Candidate,
    rank: u8,
    place: usize,
    query: &Query<'_>,
    account: Option<&LiveAccount>,
) -> Order {
    let strategy = query.pool.pool.strategy;
    let limits = || account.map(|account| &account.limits);
    let by_strategy = match strategy {
        Strategy::SessionAffinity => 0,
        Strategy::Session => active_session(candidate, limits(), query.now),
        Strategy::DrainSoonest => limits().and_then(|l| soonest_reset(l, query.now)).unwrap_or(u64::MAX),
        Strategy::LeastUtilized => limits().map_or(0, |limits| utilization(limits, query.now)),
    };
    // Strategy Session fills one account after the other: chance would start several windows.
    let hash = if strategy == Strategy::Session {
        0
    } else {
        let key = query.request.session.map_or(query.chance, |session| session.0);
        rendezvous(candidate.seed, key, candidate.headroom.class(query.now).weight())
    };
    Order { priority: candidate.account.priority, rank, strategy: by_strategy, hash: Reverse(hash), place }
}

/// Weighted rendezvous hashing: an account of weight n draws n lots, the highest lot of all wins. Losing an
/// account moves only its own keys, evenly over the others; one more lot takes keys from others only.
fn rendezvous(seed: u64, key: u128, weight: u32) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (high, low) = ((key >> 64) as u64, key as u64);
    let own = mix(mix(seed ^ low) ^ high);
    (0..weight).map(|lot| mix(own.wrapping_add(u64::from(lot)))).max().unwrap_or_default()
}

/// The finaliser of splitmix64: every input bit changes every output bit with probability one half.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// An account whose 5-hour window is running first, the newest window first of all.
fn active_session(candidate: &Candidate, limits: Option<&Limits>, now: Timestamp) -> u64 {
    let window =
        limits.and_then(|limits| limits.window("five_hour")).filter(|_| candidate.account.session_tracked);
    match window.and_then(|window| window.at(now).resets_at) {
        Some(reset) => u64::MAX / 2 - seconds(reset.duration_since(now)),
        None => u64::MAX,
    }
}

fn soonest_reset(limits: &Limits, now: Timestamp) -> Option<u64> {
    let resets = quota(limits).filter_map(|window| window.at(now).resets_at);
    resets.map(|reset| seconds(reset.duration_since(now))).min()
}

/// Percent of the fullest window, times hundred.
fn utilization(limits: &Limits, now: Timestamp) -> u64 {
    let fullest = quota(limits).map(|window| window.at(now).utilization).fold(0.0, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to small positives")]
    let whole = (fullest * 100.0).clamp(0.0, 1e9) as u64;
    whole
}

/// Windows of hours and days; per-minute limits have no part in the order.
fn quota(limits: &Limits) -> impl Iterator<Item = &Window> {
    let quota = |name: &str| name.starts_with("five_hour") || name.starts_with("seven_day");
    limits.windows().filter(move |(name, _)| quota(name)).map(|(_, window)| window)
}

fn seconds(span: SignedDuration) -> u64 {
    u64::try_from(span.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 10,000 keys each of these (seed, weight) gets.
    fn share(accounts: &[(u64, u32)]) -> Vec<usize> {
        let mut won = vec![0; accounts.len()];
        for key in 0..10_000u128 {
            let key = key.wrapping_mul(0x1234_5678_9ABC_DEF1_1357);
            let best = (0..accounts.len()).max_by_key(|n| rendezvous(accounts[*n].0, key, accounts[*n].1));
            won[best.unwrap()] += 1;
        }
        won
    }

    #[test]
    fn keys_are_spread_in_proportion_to_the_weights() {
        let even = share(&[(1, 8), (2, 8), (3, 8), (4, 8)]);
        assert!(even.iter().all(|won| (2300..2700).contains(won)), "{even:?}");
        let uneven = share(&[(1, 8), (2, 4), (3, 4)]);
        assert!((4750..5250).contains(&uneven[0]), "{uneven:?}");
    }

    #[test]
    fn a_smaller_weight_only_gives_keys_away() {
        for key in 0..2_000u128 {
            let lots = |weight| rendezvous(7, key, weight);
            assert!(lots(1) <= lots(2) && lots(2) <= lots(4) && lots(4) <= lots(8));
        }
    }
}
