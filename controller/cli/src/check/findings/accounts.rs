//! What requests can use: every account, with what is wrong with it.

use jiff::Timestamp;
use kube::ResourceExt;
use penstock_crds::ProviderAccount;
use penstock_crds::account::status::State;

use super::{Finding, good, unknown, warning};
use crate::check::facts::Facts;

pub(super) fn findings(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let accounts = match &facts.accounts {
        Ok(accounts) => accounts,
        // The definitions' section says what to do.
        Err(why) => {
            return vec![unknown("the accounts", why, || {
                warning("there is no such kind", "see Definitions")
            })];
        }
    };
    if accounts.is_empty() {
        return vec![warning(
            "there is no account",
            "kubectl apply a ProviderAccount and its Secret: docs/use.md",
        )];
    }
    let mut findings: Vec<_> = accounts.iter().filter_map(|account| judged(account, now)).collect();
    let available = accounts.len() - findings.len();
    let text = format!("{available} of {} accounts can serve", accounts.len());
    findings.insert(0, if available == 0 { super::failure(text, "see below") } else { good(text) });
    findings
}

/// `None`: it can serve.
fn judged(account: &ProviderAccount, now: Timestamp) -> Option<Finding> {
    let name = format!("{}/{}", account.namespace().unwrap_or_default(), account.name_any());
    let Some(status) = &account.status else {
        return Some(warning(format!("{name}: no controller has looked at it yet"), "see Controller"));
    };
    let state = status.state?;
    let until = status.limited_until.filter(|until| *until > now).map(|until| format!(" until {until}"));
    let advice = match state {
        State::Available => return None,
        State::Limited | State::Overloaded => {
            "it comes back by itself; more accounts would carry on meanwhile".to_owned()
        }
        State::Paused => format!("penstock accounts resume {}, if it should serve", account.name_any()),
        State::NeedsLogin => "put a new credential into its Secret".to_owned(),
        State::Invalid => "mend the object or its Secret".to_owned(),
        State::BudgetExhausted => "it comes back with the period; or raise spec.budget.usd".to_owned(),
    };
    let message = status
        .conditions
        .iter()
        .find(|condition| condition.status == "False" && !condition.message.is_empty())
        .map(|condition| format!(": {}", condition.message));
    let text = format!(
        "{name} is {}{}{}",
        state.as_label(),
        until.unwrap_or_default(),
        message.or_else(|| status.reason.as_ref().map(|reason| format!(": {reason}"))).unwrap_or_default()
    );
    Some(warning(text, advice))
}
