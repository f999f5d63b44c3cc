//! What a proxy learned about an account from one answer of its provider.

use jiff::Timestamp;

use crate::ids::AccountId;
use crate::limits::{Cooldown, CooldownScope, Limits, Window};

/// One thing learned. Taking it in is a join: order and repetition do not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// About which account.
    pub account: AccountId,
    /// When.
    pub observed_at: Timestamp,
    /// Windows read from the answer, by name.
    pub windows: Vec<(String, Window)>,
    /// Cooldowns it means.
    pub cooldowns: Vec<(CooldownScope, Cooldown)>,
    /// Cooldowns it ends, and up to which observation.
    pub lifts: Vec<(CooldownScope, Timestamp)>,
    /// Fingerprint of a credential that the provider rejected.
    pub rejected_fingerprint: Option<String>,
}

impl Observation {
    /// Nothing learned yet.
    pub fn about(account: AccountId, observed_at: Timestamp) -> Self {
        Self {
            account,
            observed_at,
            windows: Vec::new(),
            cooldowns: Vec::new(),
            lifts: Vec::new(),
            rejected_fingerprint: None,
        }
    }

    /// Takes it into an account's limits.
    pub fn merge_into(&self, limits: &mut Limits) {
        for (name, window) in &self.windows {
            limits.observe_window(name, *window);
        }
        for (scope, cooldown) in &self.cooldowns {
            limits.observe_cooldown(scope.clone(), *cooldown);
        }
        for (scope, at) in &self.lifts {
            limits.lift(scope.clone(), *at);
        }
    }

    /// Whether it says that something began or ended, and so is reported at once.
    pub fn is_transition(&self) -> bool {
        !self.cooldowns.is_empty() || !self.lifts.is_empty() || self.rejected_fingerprint.is_some()
    }
}
