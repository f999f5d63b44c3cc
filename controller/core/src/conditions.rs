//! When a condition changes, and its time with it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its name, from `penstock_crds::conditions`.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Stable, in CamelCase.
    pub reason: String,
    /// For people: what to do if it does not hold.
    pub message: String,
}

impl Said {
    /// It holds.
    pub fn yes(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, holds: true, reason: reason.into(), message: String::new() }
    }

    /// It does not hold.
    pub fn no(kind: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason: reason.into(), message: message.into() }
    }
}

/// The conditions as they should stand. The time of one moves only when its status does; those of others
/// that stand there are kept.
pub fn update(
    held: &[Condition],
    said: Vec<Said>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions: Vec<Condition> =
        held.iter().filter(|old| said.iter().all(|new| new.kind != old.type_)).cloned().collect();
    for Said { kind, holds, reason, message } in said {
        let status = if holds { "True" } else { "False" };
        let since = held.iter().find(|old| old.type_ == kind && old.status == status);
        conditions.push(Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason,
            message,
            observed_generation: generation,
            last_transition_time: since.map_or(Time(now), |old| old.last_transition_time.clone()),
        });
    }
    conditions
}
