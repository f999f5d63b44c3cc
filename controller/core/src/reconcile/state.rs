//! Where an account stands: one state, why, until when, and what to do about it.

use jiff::Timestamp;
use penstock_crds::account::ProviderAccountSpec;
use penstock_crds::account::status::State;
use penstock_crds::conditions as reasons;
use penstock_proto::limits::{CooldownReason, Limits, WindowStatus};
use penstock_proto::snapshot::AccountState;

use crate::budget;
use crate::validate::Fault;
use crate::validate::account::Checked;

/// Where an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// As it is shown.
    pub(super) state: State,
    /// Stable, in CamelCase.
    pub(super) reason: String,
    /// For people: what happened and what to do.
    pub(super) message: String,
    /// When time alone ends it.
    pub(super) until: Option<Timestamp>,
    /// Whether proxies must be told that it is out of use, because they could not know it otherwise.
    pub(super) blocked: bool,
    /// What to do about a credential that the provider rejected.
    pub(super) rejected: Option<String>,
    /// When time alone changes any of this.
    pub(super) next_change: Option<Timestamp>,
}

impl Standing {
    pub(super) fn is_available(&self) -> bool {
        self.state == State::Available
    }

    fn new(state: State, reason: impl Into<String>, message: impl Into<String>) -> Self {
        let (reason, message) = (reason.into(), message.into());
        Self { state, reason, message, until: None, blocked: false, rejected: None, next_change: None }
    }

    fn blocked(state: State, fault: &Fault) -> Self {
        Self { blocked: true, ..Self::new(state, fault.reason, &fault.message) }
    }
}

/// Decides where an account stands. `spent`: whether its budget is.
pub(super) fn standing(
    spec: &ProviderAccountSpec,
    checked: &Checked,
    observed: &AccountState,
    spent: bool,
    now: Timestamp,
) -> Standing {
    let rejected = rejected(checked, observed);
    let mut standing = permanent(spec, checked, rejected.as_deref(), spent, now)
        .or_else(|| limited(checked, &observed.limits, now))
        .unwrap_or_else(|| Standing::new(State::Available, reasons::REASON_AVAILABLE, ""));
    let token_ends = checked.account.as_ref().and_then(|account| account.credential.as_ref()?.expires_at);
    let windows = observed.limits.windows().filter_map(|(_, window)| window.resets_at);
    let ends = observed.limits.in_force(now).map(|(_, until)| until);
    standing.next_change =
        windows.chain(ends).chain(token_ends).chain(standing.until).filter(|at| *at > now).min();
    standing.rejected = rejected;
    standing
}

/// What only a person, or a new period, ends.
fn permanent(
    spec: &ProviderAccountSpec,
    checked: &Checked,
    rejected: Option<&str>,
    spent: bool,
    now: Timestamp,
) -> Option<Standing> {
    if let Some(fault) = &checked.spec_fault {
        return Some(Standing::blocked(State::Invalid, fault));
    }
    if let Some(fault) = &checked.credential_fault {
        let ended = fault.reason == reasons::REASON_TOKEN_EXPIRED;
        return Some(Standing::blocked(if ended { State::NeedsLogin } else { State::Invalid }, fault));
    }
    if spec.paused {
        let message = "set aside by a person; resume it with spec.paused: false";
        return Some(Standing::new(State::Paused, reasons::REASON_PAUSED, message));
    }
    if let Some(message) = rejected {
        let fault = Fault::new(reasons::REASON_CREDENTIAL_REJECTED, message);
        return Some(Standing::blocked(State::NeedsLogin, &fault));
    }
    let budget = spec.budget.as_ref().filter(|_| spent)?;
    let (_, next) = budget::around(budget.period, now);
    let message = format!(
        "the budget of ${} for this {} is spent; raise it or wait for the next, which begins at {next}",
        budget.usd,
        format!("{:?}", budget.period).to_lowercase()
    );
    let fault = Fault::new(reasons::REASON_BUDGET_EXHAUSTED, message);
    Some(Standing { until: Some(next), ..Standing::blocked(State::BudgetExhausted, &fault) })
}

/// What to do, if the provider rejected the credential that stands in the Secret now.
fn rejected(checked: &Checked, observed: &AccountState) -> Option<String> {
    let credential = checked.account.as_ref()?.credential.as_ref()?;
    (observed.rejected_fingerprint.as_ref() == Some(&credential.fingerprint)).then(|| {
        "the provider rejected the credential; log in again or put a new key into the Secret".to_owned()
    })
}

/// What time ends: of everything in force for the whole account, that which lasts longest.
fn limited(checked: &Checked, limits: &Limits, now: Timestamp) -> Option<Standing> {
    let cooldown =
        limits.in_force(now).filter(|(scope, _)| scope.model.is_none()).max_by_key(|(_, until)| *until);
    let cooldown = cooldown.map(|(scope, until)| (by_cooldown(scope.reason, limits, now), until));
    let ceiling = checked.account.as_ref().into_iter().flat_map(|account| &account.limits.window_ceilings);
    let ceiling = ceiling.filter_map(|(name, ceiling)| {
        let window = limits.window(name)?.at(now);
        let until = window.resets_at.filter(|_| window.utilization >= *ceiling)?;
        let message =
            format!("{:.0} % of window {name} is used, and its ceiling is {ceiling} %", window.utilization);
        Some((Standing::new(State::Limited, format!("{}CeilingReached", camel(name)), message), until))
    });
    let (standing, until) = cooldown.into_iter().chain(ceiling).max_by_key(|(_, until)| *until)?;
    let message = format!("{}; it takes requests again at {until}", standing.message);
    Some(Standing { until: Some(until), message, ..standing })
}

fn by_cooldown(reason: CooldownReason, limits: &Limits, now: Timestamp) -> Standing {
    let (state, label, message) = match reason {
        CooldownReason::QuotaExhausted => {
            (State::Limited, exhausted(limits, now), "the provider's quota is used up")
        }
        CooldownReason::Throttled => {
            (State::Limited, None, "the provider limits requests or tokens per minute")
        }
        CooldownReason::Forbidden => (
            State::Limited,
            None,
            "the provider refuses requests: look at the account's payment, permissions and spend limits",
        ),
        CooldownReason::ModelUnavailable => {
            (State::Limited, None, "the provider does not serve the models asked for")
        }
        CooldownReason::Overloaded => (State::Overloaded, None, "the provider is overloaded"),
        CooldownReason::ServerFault => (State::Overloaded, None, "the provider fails repeatedly"),
        CooldownReason::Unreachable => (State::Overloaded, None, "the provider cannot be reached"),
    };
    Standing::new(state, label.unwrap_or_else(|| reason.as_label().to_owned()), message)
}

/// `FiveHourWindowExhausted`, if it is known which window is used up.
fn exhausted(limits: &Limits, now: Timestamp) -> Option<String> {
    let windows = limits.windows().map(|(name, window)| (name, window.at(now)));
    let used_up =
        windows.filter(|(_, window)| window.status == WindowStatus::Rejected || window.utilization >= 100.0);
    used_up
        .max_by_key(|(_, window)| window.resets_at)
        .map(|(name, _)| format!("{}WindowExhausted", camel(name)))
}

/// `five_hour` → `FiveHour`.
fn camel(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    };
    words.map(capital).collect()
}
