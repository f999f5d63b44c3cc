//! Answers that are no limit of a window: overload, credential, payment, permission, missing model.

use jiff::SignedDuration;
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};

use super::{Case, FORBIDDEN, MODEL_UNAVAILABLE, Outcome, model_scope};
use crate::limits;

/// An overloaded provider is not left alone for longer, whatever it says: it is a matter of seconds, and a
/// reset it names is that of some window.
const OVERLOAD_LONGEST: SignedDuration = SignedDuration::from_secs(60);

/// The outcome, if the answer is one of these.
pub(super) fn outcome(case: &Case<'_>) -> Option<Outcome> {
    let error = case.error;
    if error.says(&["cyber_policy", "bio_policy", "invalid_prompt", "context_length_exceeded"]) {
        return Some(Outcome::ClientFault);
    }
    if is_overloaded(case) {
        let until = limits::retry_after(case.headers, case.now);
        let longest = case.now.checked_add(OVERLOAD_LONGEST).ok();
        return Some(Outcome::Overloaded {
            until: until.map(|until| longest.map_or(until, |l| until.min(l))),
        });
    }
    match case.status {
        401 => Some(Outcome::CredentialRejected),
        403 if names_credential(case) => Some(Outcome::CredentialRejected),
        402 | 403 => Some(Outcome::Forbidden),
        _ if forbids(case) => Some(Outcome::Forbidden),
        400 | 404 if misses_model(case) => Some(Outcome::ModelUnavailable),
        _ => None,
    }
}

/// How long the account, or the account for these models, is left alone for it.
pub(super) fn cooldown(outcome: &Outcome, case: &Case<'_>) -> Option<(CooldownScope, Cooldown)> {
    let (reason, model, length) = match outcome {
        Outcome::Forbidden => {
            let model = names_model(case).then(|| model_scope(case.model)).flatten();
            (CooldownReason::Forbidden, model, FORBIDDEN)
        }
        Outcome::ModelUnavailable => {
            (CooldownReason::ModelUnavailable, Some(case.model.to_owned()), MODEL_UNAVAILABLE)
        }
        _ => return None,
    };
    let until = case.now.checked_add(length).ok()?;
    Some((CooldownScope { reason, model }, Cooldown { until, observed_at: case.now }))
}

fn is_overloaded(case: &Case<'_>) -> bool {
    let words = case.error.says(&["overloaded_error", "server_is_overloaded"]);
    // The same word with 429 means that this account was too quick.
    let slow_down = case.status >= 500 && case.error.says(&["slow_down"]);
    case.status == 529 || words || slow_down
}

fn names_credential(case: &Case<'_>) -> bool {
    case.error.says(&["authentication_error", "invalid_api_key", "token_expired", "token_revoked"])
        || case.error.mentions(&["api key", "api_key", "oauth", "access token", "credential", "authenticat"])
}

/// Payment and spend limits that come as 400 or 429.
fn forbids(case: &Case<'_>) -> bool {
    if !matches!(case.status, 400 | 429) {
        return false;
    }
    let spend_limits =
        ["enforced_spend_limit_reached", "contract_spend_limit_reached", "ramp_limit_exceeded"];
    case.error.says(&spend_limits)
        || case.error.says(&["billing_error", "usage_not_included", "billing_hard_limit_reached"])
        || (case.status == 400
            && case.error.mentions(&[
                "credit balance is too low",
                "extra usage",
                "specified api usage limits",
                "spend limit",
            ]))
}

fn misses_model(case: &Case<'_>) -> bool {
    !case.model.is_empty()
        && (case.error.says(&["model_not_found", "model_not_available"])
            || case.error.mentions(&["not supported when using codex"])
            || (case.status == 404 && names_model(case))
            || (case.error.mentions(&["does not exist", "not found"]) && names_model(case)))
}

fn names_model(case: &Case<'_>) -> bool {
    !case.model.is_empty() && case.error.mentions(&[&case.model.to_ascii_lowercase()])
}
