//! Whether an account may serve a request at all, and whether it can now.
//! Never fails closed on missing data: what is not known of an account does not keep it out.

use jiff::Timestamp;
use penstock_proto::limits::{CooldownReason, glob_matches};
use penstock_proto::snapshot::Account;

use super::{Query, Reason};
use crate::live::{Live, LiveAccount};
use crate::pool::Candidate;
use crate::retry::Admission;
use crate::route::{Family, ModelFamily, Operation, Selector, family_of};
use crate::slots::Full;

/// Whether an account may serve this request at all, and how it is preferred by its provider: 0 first.
pub(super) fn rank(candidate: &Candidate, query: &Query<'_>) -> Option<u8> {
    let (account, request) = (&*candidate.account, query.request);
    let model = query.leg.model;
    let unwanted = request.forced.as_ref().is_some_and(|name| !candidate.is_named(name))
        || query.leg.account.is_some_and(|id| id != candidate.id())
        || request.exclude_providers.iter().any(|provider| provider.eq_ignore_ascii_case(&account.provider))
        || request.dialect.is_some_and(|dialect| !account.speaks(dialect))
        || !serves(account, model);
    if unwanted {
        return None;
    }
    // A chain that names an account means that account, whatever its provider.
    if query.leg.account.is_some() {
        return Some(0);
    }
    match query.leg.selector {
        Selector::Provider(provider) => (**provider == *account.provider).then_some(0),
        Selector::Family(family) => in_family(account, *family, request.operation),
        Selector::ByModel => by_model(account, model, request.operation),
    }
}

/// The first of an account's models for this request that is free now, or why the account cannot serve.
pub(super) fn model_now<'a>(
    candidate: &'a Candidate,
    query: &Query<'a>,
    account: Option<&LiveAccount>,
    live: &Live,
) -> Result<&'a str, Reason> {
    usable(candidate, account, live, query.now)?;
    let mut reason = Reason::Tried;
    // What has no model cannot be asked for another one.
    let asked = query.leg.model;
    let mapped = (!asked.is_empty()).then(|| candidate.account.models_for(asked)).into_iter().flatten();
    for model in mapped.chain(asked.is_empty().then_some(asked)) {
        let cooling = account.and_then(|account| cooling(account, Some(model), query.now));
        let is_tried = || query.tried.iter().any(|tried| tried.rules_out(candidate, model, query.now));
        match cooling {
            Some(cooling) => reason = sooner(reason, cooling),
            None if is_tried() => {}
            None => return Ok(model),
        }
    }
    Err(reason)
}

/// Whether an account as a whole can serve now, whatever the model; else why not.
pub fn available(candidate: &Candidate, live: &Live, now: Timestamp) -> Result<(), Reason> {
    usable(candidate, live.account(candidate.id()), live, now)
}

fn usable(
    candidate: &Candidate,
    account: Option<&LiveAccount>,
    live: &Live,
    now: Timestamp,
) -> Result<(), Reason> {
    lasting(candidate, now)?;
    let Some(account) = account else { return host(candidate, live, now) };
    let credential = candidate.account.credential.as_ref();
    if credential.is_some_and(|credential| account.rejects(&credential.fingerprint)) {
        return Err(Reason::CredentialRejected);
    }
    if let Some(reason) = cooling(account, None, now) {
        return Err(reason);
    }
    ceilings(candidate, account, now)?;
    host(candidate, live, now)?;
    account.slots.check(&candidate.account.limits, now).map_err(|full| match full {
        Full::Concurrency => Reason::Busy,
        Full::Minute(until) => Reason::Budget { until },
    })
}

/// What only a person or the controller changes.
fn lasting(candidate: &Candidate, now: Timestamp) -> Result<(), Reason> {
    let account = &candidate.account;
    if account.paused {
        return Err(Reason::Paused);
    }
    if let Some(why) = &candidate.state.blocked {
        return Err(Reason::Blocked(why.clone()));
    }
    match &account.credential {
        None => Err(Reason::NoCredential),
        Some(_) if candidate.headers.is_none() => Err(Reason::NoCredential),
        Some(credential)
            if candidate.state.rejected_fingerprint.as_ref() == Some(&credential.fingerprint) =>
        {
            Err(Reason::CredentialRejected)
        }
        Some(credential) if credential.expires_at.is_some_and(|end| end <= now) => {
            Err(Reason::CredentialExpired)
        }
        Some(_) => Ok(()),
    }
}

fn host(candidate: &Candidate, live: &Live, now: Timestamp) -> Result<(), Reason> {
    match live.admits(&candidate.host, now) {
        Admission::Closed | Admission::Probe => Ok(()),
        Admission::Open(until) => Err(Reason::Cooling { reason: CooldownReason::ServerFault, until }),
    }
}

fn ceilings(candidate: &Candidate, account: &LiveAccount, now: Timestamp) -> Result<(), Reason> {
    for (name, ceiling) in &candidate.account.limits.window_ceilings {
        if let Some(window) = account.limits.window(name).map(|window| window.at(now))
            && window.utilization >= *ceiling
        {
            return Err(Reason::Ceiling { window: name.clone(), until: window.resets_at });
        }
    }
    Ok(())
}

/// The cooldown that lasts longest, of the whole account or of this model.
fn cooling(account: &LiveAccount, model: Option<&str>, now: Timestamp) -> Option<Reason> {
    let concerned = account.limits.in_force(now).filter(|(scope, _)| match (&scope.model, model) {
        (None, None) => true,
        (Some(glob), Some(model)) => glob_matches(glob, model),
        _ => false,
    });
    let (scope, until) = concerned.max_by_key(|(_, until)| *until)?;
    Some(Reason::Cooling { reason: scope.reason, until })
}

/// The reason that ends first, among an account's models.
fn sooner(one: Reason, other: Reason) -> Reason {
    match (one.until(), other.until()) {
        (Some(a), Some(b)) if a <= b => one,
        (Some(_), None) => one,
        _ => other,
    }
}

/// Whether an account's allow-list and map let it be asked for this model.
fn serves(account: &Account, model: &str) -> bool {
    model.is_empty()
        || account.allows(model)
        || account.models_for(model).any(|mapped| account.allows(mapped))
}

/// Subscriptions first: they are paid for whether used or not.
fn in_family(account: &Account, family: Family, operation: Operation) -> Option<u8> {
    if account.family != family.as_str() {
        return None;
    }
    match account.provider.as_str() {
        "claude-code" => Some(0),
        "codex" => matches!(operation, Operation::Responses | Operation::Compact).then_some(0),
        _ => Some(1),
    }
}

fn by_model(account: &Account, model: &str, operation: Operation) -> Option<u8> {
    if account.provider == "codex" && !matches!(operation, Operation::Responses | Operation::Compact) {
        return None;
    }
    let named = || {
        account.allow_models.iter().any(|glob| glob != "*" && glob_matches(glob, model))
            || account.model_map.iter().any(|entry| glob_matches(&entry.glob, model))
    };
    match family_of(model) {
        // Another vendor's account serves it if its owner says so, or if it may be anything's.
        ModelFamily::Of(family) => in_family(account, family, operation)
            .or_else(|| (named() || account.provider.ends_with("-compatible")).then_some(2)),
        ModelFamily::Unknown if model.is_empty() || named() => Some(0),
        ModelFamily::Unknown => Some(1),
    }
}
