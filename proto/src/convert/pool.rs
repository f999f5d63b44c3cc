//! Pools and grants.

use std::time::Duration;

use super::{ConvertError, Reason, each, id, optional, optional_id, required};
use crate::ids::PoolId;
use crate::snapshot::{Fallback, FallbackTarget, Grant, Pool, Strategy};
use crate::wire;

pub(super) fn read(name: PoolId, wire: wire::Pool) -> Result<Pool, ConvertError> {
    if wire.attempts == 0 {
        return Err(ConvertError::new("attempts", Reason::OutOfRange));
    }
    Ok(Pool {
        id: name,
        accounts: each("accounts", wire.accounts, |raw| id("name", &raw))?,
        strategy: match wire::Strategy::try_from(wire.strategy) {
            Ok(wire::Strategy::SessionAffinity) => Strategy::SessionAffinity,
            Ok(wire::Strategy::Session) => Strategy::Session,
            Ok(wire::Strategy::DrainSoonest) => Strategy::DrainSoonest,
            Ok(wire::Strategy::LeastUtilized) => Strategy::LeastUtilized,
            Ok(wire::Strategy::Unspecified) | Err(_) => Strategy::default(),
        },
        affinity_ttl: duration("affinity_ttl_ms", wire.affinity_ttl_ms)?,
        attempts: wire.attempts,
        per_try_timeout: duration("per_try_timeout_ms", wire.per_try_timeout_ms)?,
        overload_retries: wire.overload_retries,
        hold: duration("hold_ms", wire.hold_ms)?,
        fallbacks: each("fallbacks", wire.fallbacks, read_fallback)?,
    })
}

pub(super) fn write(pool: &Pool) -> wire::Pool {
    let Pool {
        id: _, // the resource's name
        accounts,
        strategy,
        affinity_ttl,
        attempts,
        per_try_timeout,
        overload_retries,
        hold,
        fallbacks,
    } = pool;
    let strategy = match strategy {
        Strategy::SessionAffinity => wire::Strategy::SessionAffinity,
        Strategy::Session => wire::Strategy::Session,
        Strategy::DrainSoonest => wire::Strategy::DrainSoonest,
        Strategy::LeastUtilized => wire::Strategy::LeastUtilized,
    };
    wire::Pool {
        accounts: accounts.iter().map(ToString::to_string).collect(),
        strategy: strategy.into(),
        affinity_ttl_ms: millis(*affinity_ttl),
        attempts: *attempts,
        per_try_timeout_ms: millis(*per_try_timeout),
        overload_retries: *overload_retries,
        hold_ms: millis(*hold),
        fallbacks: fallbacks.iter().map(write_fallback).collect(),
    }
}

pub(super) fn read_grant(wire: wire::Grant) -> Result<Grant, ConvertError> {
    let key = optional(wire.client_key_sha256);
    let is_digest =
        |hex: &String| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !key.iter().all(is_digest) {
        return Err(ConvertError::new("client_key_sha256", Reason::Malformed));
    }
    Ok(Grant {
        namespace: required("namespace", wire.namespace)?,
        client_key_sha256: key,
        pool: optional_id("pool", &wire.pool)?,
        caller: wire.caller,
    })
}

pub(super) fn write_grant(grant: &Grant) -> wire::Grant {
    let Grant { namespace, client_key_sha256, pool, caller } = grant;
    wire::Grant {
        namespace: namespace.clone(),
        client_key_sha256: client_key_sha256.clone().unwrap_or_default(),
        pool: pool.as_ref().map(ToString::to_string).unwrap_or_default(),
        caller: caller.clone(),
    }
}

fn read_fallback(wire: wire::Fallback) -> Result<Fallback, ConvertError> {
    let targets = each("targets", wire.targets, |target| {
        Ok(FallbackTarget {
            account: optional_id("account", &target.account)?,
            model: optional(target.model),
        })
    })?;
    Ok(Fallback { models: wire.models, targets })
}

fn write_fallback(fallback: &Fallback) -> wire::Fallback {
    let Fallback { models, targets } = fallback;
    let targets = targets.iter().map(|FallbackTarget { account, model }| wire::FallbackTarget {
        account: account.as_ref().map(ToString::to_string).unwrap_or_default(),
        model: model.clone().unwrap_or_default(),
    });
    wire::Fallback { models: models.clone(), targets: targets.collect() }
}

fn duration(field: &str, millis: i64) -> Result<Duration, ConvertError> {
    u64::try_from(millis).map(Duration::from_millis).map_err(|_| ConvertError::new(field, Reason::OutOfRange))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
