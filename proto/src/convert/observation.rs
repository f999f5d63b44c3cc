//! Observations.

use super::limits::{Said, read_cooldown, read_window, write_cooldown, write_lift, write_window};
use super::{ConvertError, each, id, micros, optional};
use crate::observation::Observation;
use crate::wire;

impl TryFrom<wire::Observation> for Observation {
    type Error = ConvertError;

    fn try_from(wire: wire::Observation) -> Result<Self, ConvertError> {
        let account = id("account", &wire.account)?;
        let mut observation = Self::about(account, micros("observed_at_us", wire.observed_at_us)?);
        observation.windows = each("windows", wire.windows, read_window)?;
        for said in each("cooldowns", wire.cooldowns, read_cooldown)? {
            match said {
                Said::Cooldown(scope, cooldown) => observation.cooldowns.push((scope, cooldown)),
                Said::Lift(scope, at) => observation.lifts.push((scope, at)),
                Said::Nothing => {}
            }
        }
        observation.rejected_fingerprint = optional(wire.rejected_fingerprint);
        Ok(observation)
    }
}

impl From<&Observation> for wire::Observation {
    fn from(observation: &Observation) -> Self {
        let Observation { account, observed_at, windows, cooldowns, lifts, rejected_fingerprint } =
            observation;
        let lifts = lifts.iter().map(|(scope, at)| write_lift(scope, *at));
        let cooldowns = cooldowns.iter().map(|(scope, cooldown)| write_cooldown(scope, *cooldown));
        Self {
            account: account.to_string(),
            observed_at_us: observed_at.as_microsecond(),
            windows: windows.iter().map(|(name, window)| write_window(name, window)).collect(),
            cooldowns: lifts.chain(cooldowns).collect(),
            rejected_fingerprint: rejected_fingerprint.clone().unwrap_or_default(),
        }
    }
}
