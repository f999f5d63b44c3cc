//! Windows, cooldowns and account state.

use jiff::Timestamp;

use super::{ConvertError, Reason, each, micros, optional, optional_micros, required};
use crate::limits::{Cooldown, CooldownReason, CooldownScope, Limits, Window, WindowStatus};
use crate::snapshot::AccountState;
use crate::wire;

/// What one cooldown message says.
pub(super) enum Said {
    Cooldown(CooldownScope, Cooldown),
    Lift(CooldownScope, Timestamp),
    /// A lift of something that this program does not know.
    Nothing,
}

pub(super) fn read_state(wire: wire::AccountState) -> Result<AccountState, ConvertError> {
    let mut limits = Limits::default();
    for (name, window) in each("windows", wire.windows, read_window)? {
        limits.observe_window(&name, window);
    }
    for said in each("cooldowns", wire.cooldowns, read_cooldown)? {
        match said {
            Said::Cooldown(scope, cooldown) => limits.observe_cooldown(scope, cooldown),
            Said::Lift(scope, at) => limits.lift(scope, at),
            Said::Nothing => {}
        }
    }
    Ok(AccountState {
        limits,
        blocked: optional(wire.blocked_reason),
        rejected_fingerprint: optional(wire.rejected_fingerprint),
    })
}

pub(super) fn write_state(state: &AccountState) -> wire::AccountState {
    let AccountState { limits, blocked, rejected_fingerprint } = state;
    let mut cooldowns = Vec::new();
    for (scope, history) in limits.cooldowns() {
        let (entries, lifted_at) = history.parts();
        cooldowns.extend(lifted_at.map(|at| write_lift(scope, at)));
        cooldowns.extend(entries.iter().map(|entry| write_cooldown(scope, *entry)));
    }
    wire::AccountState {
        windows: limits.windows().map(|(name, window)| write_window(name, window)).collect(),
        cooldowns,
        blocked_reason: blocked.clone().unwrap_or_default(),
        rejected_fingerprint: rejected_fingerprint.clone().unwrap_or_default(),
    }
}

pub(super) fn read_window(wire: wire::Window) -> Result<(String, Window), ConvertError> {
    if !wire.utilization.is_finite() || wire.utilization < 0.0 {
        return Err(ConvertError::new("utilization", Reason::OutOfRange));
    }
    let remaining =
        u64::try_from(wire.remaining).map_err(|_| ConvertError::new("remaining", Reason::OutOfRange))?;
    let window = Window {
        utilization: wire.utilization,
        resets_at: optional_micros("resets_at_us", wire.resets_at_us)?,
        status: match wire::WindowStatus::try_from(wire.status) {
            Ok(wire::WindowStatus::Allowed) => WindowStatus::Allowed,
            Ok(wire::WindowStatus::Warning) => WindowStatus::Warning,
            Ok(wire::WindowStatus::Rejected) => WindowStatus::Rejected,
            Ok(wire::WindowStatus::Unspecified) | Err(_) => WindowStatus::Unknown,
        },
        remaining: wire.has_remaining.then_some(remaining),
        observed_at: micros("observed_at_us", wire.observed_at_us)?,
    };
    Ok((required("name", wire.name)?, window))
}

pub(super) fn write_window(name: &str, window: &Window) -> wire::Window {
    let Window { utilization, resets_at, status, remaining, observed_at } = window;
    let status = match status {
        WindowStatus::Unknown => wire::WindowStatus::Unspecified,
        WindowStatus::Allowed => wire::WindowStatus::Allowed,
        WindowStatus::Warning => wire::WindowStatus::Warning,
        WindowStatus::Rejected => wire::WindowStatus::Rejected,
    };
    wire::Window {
        name: name.to_owned(),
        utilization: *utilization,
        resets_at_us: resets_at.map_or(0, Timestamp::as_microsecond),
        status: status.into(),
        observed_at_us: observed_at.as_microsecond(),
        remaining: remaining.map_or(0, |left| i64::try_from(left).unwrap_or(i64::MAX)),
        has_remaining: remaining.is_some(),
    }
}

pub(super) fn read_cooldown(wire: wire::Cooldown) -> Result<Said, ConvertError> {
    let known = read_reason(wire.reason);
    let observed_at = micros("observed_at_us", wire.observed_at_us)?;
    let model = optional(wire.model);
    if wire.lifted {
        return Ok(match known {
            Some(reason) => Said::Lift(CooldownScope { reason, model }, observed_at),
            None => Said::Nothing,
        });
    }
    // A provider asked for peace for a reason that only newer peers know: grant it.
    let reason = known.unwrap_or(CooldownReason::Throttled);
    let until = micros("until_us", wire.until_us)?;
    Ok(Said::Cooldown(CooldownScope { reason, model }, Cooldown { until, observed_at }))
}

pub(super) fn write_cooldown(scope: &CooldownScope, cooldown: Cooldown) -> wire::Cooldown {
    let Cooldown { until, observed_at } = cooldown;
    wire::Cooldown { until_us: until.as_microsecond(), ..write_scope(scope, observed_at) }
}

pub(super) fn write_lift(scope: &CooldownScope, at: Timestamp) -> wire::Cooldown {
    wire::Cooldown { lifted: true, ..write_scope(scope, at) }
}

fn write_scope(scope: &CooldownScope, observed_at: Timestamp) -> wire::Cooldown {
    let CooldownScope { reason, model } = scope;
    wire::Cooldown {
        reason: write_reason(*reason).into(),
        model: model.clone().unwrap_or_default(),
        until_us: 0,
        observed_at_us: observed_at.as_microsecond(),
        lifted: false,
    }
}

fn read_reason(wire: i32) -> Option<CooldownReason> {
    use wire::CooldownReason as Wire;
    Some(match Wire::try_from(wire) {
        Ok(Wire::QuotaExhausted) => CooldownReason::QuotaExhausted,
        Ok(Wire::Throttled) => CooldownReason::Throttled,
        Ok(Wire::Overloaded) => CooldownReason::Overloaded,
        Ok(Wire::Forbidden) => CooldownReason::Forbidden,
        Ok(Wire::ModelUnavailable) => CooldownReason::ModelUnavailable,
        Ok(Wire::ServerFault) => CooldownReason::ServerFault,
        Ok(Wire::Unreachable) => CooldownReason::Unreachable,
        Ok(Wire::Unspecified) | Err(_) => return None,
    })
}

fn write_reason(reason: CooldownReason) -> wire::CooldownReason {
    use wire::CooldownReason as Wire;
    match reason {
        CooldownReason::QuotaExhausted => Wire::QuotaExhausted,
        CooldownReason::Throttled => Wire::Throttled,
        CooldownReason::Overloaded => Wire::Overloaded,
        CooldownReason::Forbidden => Wire::Forbidden,
        CooldownReason::ModelUnavailable => Wire::ModelUnavailable,
        CooldownReason::ServerFault => Wire::ServerFault,
        CooldownReason::Unreachable => Wire::Unreachable,
    }
}
