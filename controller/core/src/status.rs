//! How limits are written into an account's status and read from it: what replicas of the controller, and a
//! controller that starts again, learn from each other.

use penstock_crds::account::status::{CooldownStatus, ProviderAccountStatus, TightestWindow, WindowStatus};
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope, Limits, Window, WindowStatus as Word};
use penstock_proto::snapshot::AccountState;

/// As many as the definition of the kind allows; more would make the API server refuse the status.
const MOST_WINDOWS: usize = 32;
/// The same for cooldowns.
const MOST_COOLDOWNS: usize = 64;

/// Every reason, for reading labels.
const REASONS: [CooldownReason; 7] = [
    CooldownReason::QuotaExhausted,
    CooldownReason::Throttled,
    CooldownReason::Overloaded,
    CooldownReason::Forbidden,
    CooldownReason::ModelUnavailable,
    CooldownReason::ServerFault,
    CooldownReason::Unreachable,
];

/// Joins what a status says of limits with what is known.
pub fn join(state: &mut AccountState, written: &ProviderAccountStatus) {
    for window in &written.windows {
        state.limits.observe_window(&window.name, read_window(window));
    }
    for cooldown in &written.cooldowns {
        // A reason of a newer version of the controller: that one keeps it in force.
        let Some(reason) = REASONS.into_iter().find(|reason| reason.as_label() == cooldown.reason) else {
            continue;
        };
        let scope = CooldownScope { reason, model: cooldown.model.clone() };
        if let Some(at) = cooldown.lifted_at {
            state.limits.lift(scope.clone(), at);
        }
        if let (Some(until), Some(observed_at)) = (cooldown.until, cooldown.observed_at) {
            state.limits.observe_cooldown(scope, Cooldown { until, observed_at });
        }
    }
}

/// The windows as they are written: those observed last, if there are more than fit.
pub fn windows(limits: &Limits) -> Vec<WindowStatus> {
    let mut all: Vec<_> = limits.windows().map(|(name, window)| write_window(name, window)).collect();
    if all.len() > MOST_WINDOWS {
        all.sort_by_key(|window| std::cmp::Reverse(window.observed_at));
        all.truncate(MOST_WINDOWS);
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }
    all
}

/// The cooldowns as they are written: those that end last, if there are more than fit.
pub fn cooldowns(limits: &Limits) -> Vec<CooldownStatus> {
    let mut all = Vec::new();
    for (scope, history) in limits.cooldowns() {
        let entry = |until, observed_at, lifted_at| CooldownStatus {
            reason: scope.reason.as_label().to_owned(),
            model: scope.model.clone(),
            until,
            observed_at,
            lifted_at,
        };
        let (entries, lifted_at) = history.parts();
        all.extend(lifted_at.map(|at| entry(None, None, Some(at))));
        all.extend(entries.iter().map(|held| entry(Some(held.until), Some(held.observed_at), None)));
    }
    if all.len() > MOST_COOLDOWNS {
        // Stable, so that the order of the scopes remains within the same end.
        all.sort_by_key(|cooldown| std::cmp::Reverse(cooldown.until.max(cooldown.lifted_at)));
        all.truncate(MOST_COOLDOWNS);
    }
    all
}

/// The fullest of the windows at an instant.
pub fn tightest(limits: &Limits, now: jiff::Timestamp) -> Option<TightestWindow> {
    let windows = limits.windows().map(|(name, window)| (name, window.at(now)));
    windows.max_by(|(_, a), (_, b)| a.utilization.total_cmp(&b.utilization)).map(|(name, window)| {
        TightestWindow {
            name: name.to_owned(),
            utilization: percent(window.utilization),
            resets_at: window.resets_at,
        }
    })
}

/// A window as it stands at an instant: one whose reset has passed is empty, whatever was last seen of it.
pub fn window_at(written: &WindowStatus, now: jiff::Timestamp) -> WindowStatus {
    write_window(&written.name, &read_window(written).at(now))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0–100000 before")]
fn percent(utilization: f64) -> u32 {
    utilization.clamp(0.0, 100_000.0).floor() as u32
}

fn read_window(written: &WindowStatus) -> Window {
    Window {
        utilization: written.utilization,
        resets_at: written.resets_at,
        status: match written.status.as_str() {
            "allowed" => Word::Allowed,
            "warning" => Word::Warning,
            "rejected" => Word::Rejected,
            _ => Word::Unknown,
        },
        remaining: written.remaining,
        observed_at: written.observed_at,
    }
}

fn write_window(name: &str, window: &Window) -> WindowStatus {
    let status = match window.status {
        Word::Unknown => "unknown",
        Word::Allowed => "allowed",
        Word::Warning => "warning",
        Word::Rejected => "rejected",
    };
    WindowStatus {
        name: name.to_owned(),
        utilization: window.utilization,
        resets_at: window.resets_at,
        status: status.to_owned(),
        remaining: window.remaining,
        observed_at: window.observed_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn a_status_never_grows_beyond_what_its_definition_allows() {
        let mut limits = Limits::default();
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        for n in 0..100 {
            let window = Window {
                utilization: 1.0,
                resets_at: None,
                status: Word::Allowed,
                remaining: None,
                observed_at: at(n),
            };
            limits.observe_window(&format!("w{n:03}"), window);
            let scope = CooldownScope { reason: CooldownReason::Throttled, model: Some(format!("m{n}")) };
            limits.observe_cooldown(scope, Cooldown { until: at(1_000 + n), observed_at: at(n) });
        }
        let (windows, cooldowns) = (windows(&limits), cooldowns(&limits));
        assert_eq!((windows.len(), windows[0].name.as_str()), (MOST_WINDOWS, "w068"));
        assert_eq!((cooldowns.len(), cooldowns[0].until), (MOST_COOLDOWNS, Some(at(1_099))));
    }
}
