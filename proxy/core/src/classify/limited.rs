//! 429 in all its kinds: a quota window used up, too quick, no credits, or nothing said at all.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope};

use super::{Case, FORBIDDEN, Outcome, Verdict, model_scope};
use crate::headers::Headers;
use crate::limits::{self, Extent, Windows};

/// Codex says that its limit is reached, but not until when: looking again every few minutes is cheap.
const CODEX_UNKNOWN: SignedDuration = SignedDuration::from_mins(5);
/// Nothing says until when, or it is past by our clock: per-minute limits have refilled by then, and a
/// window that was about to be reset has been.
const UNKNOWN: SignedDuration = SignedDuration::from_secs(60);

/// Until when, and what it covers.
struct Limit {
    window: Cow<'static, str>,
    until: Timestamp,
    models_only: bool,
}

/// Judges a 429 that is neither an overload nor a payment error by its words.
pub(super) fn verdict(case: &Case<'_>, windows: Windows) -> Verdict {
    let (outcome, scope, until) = if let Some(limit) = quota(case, &windows) {
        let model = limit.models_only.then(|| model_scope(case.model)).flatten();
        let scope = CooldownScope { reason: CooldownReason::QuotaExhausted, model };
        (Outcome::QuotaExhausted { window: limit.window, until: limit.until }, scope, limit.until)
    } else if is_out_of_credits(case.headers) {
        // Only what the plan does not include costs credits, and that depends on the model.
        let scope = CooldownScope { reason: CooldownReason::Forbidden, model: model_scope(case.model) };
        (Outcome::Forbidden, scope, later(case.now, FORBIDDEN))
    } else if let Some(until) = throttled(case, &windows) {
        let capacity = case.error.mentions(&["at capacity"]);
        let model = capacity.then(|| model_scope(case.model)).flatten();
        (Outcome::Throttled { until }, CooldownScope { reason: CooldownReason::Throttled, model }, until)
    } else {
        return Verdict::new(Outcome::Windowless, case.status, windows);
    };
    let mut verdict = Verdict::new(outcome, case.status, windows);
    verdict.cooldowns.push((scope, Cooldown { until, observed_at: case.now }));
    verdict
}

/// A quota window that is used up.
fn quota(case: &Case<'_>, windows: &Windows) -> Option<Limit> {
    unified(case, windows).or_else(|| codex(case, windows)).or_else(|| no_money(case))
}

/// Anthropic: until the latest reset of the rejected windows; only of some models if no other is rejected.
fn unified(case: &Case<'_>, windows: &Windows) -> Option<Limit> {
    let rejected: Vec<_> = limits::rejected(windows).collect();
    let claim = text(case.headers, "anthropic-ratelimit-unified-representative-claim");
    if rejected.is_empty() {
        // Only the summary says so.
        let status = text(case.headers, "anthropic-ratelimit-unified-status")?;
        if limits::status(status) != penstock_proto::limits::WindowStatus::Rejected {
            return None;
        }
        let name = claim.unwrap_or("unified");
        return Some(Limit {
            window: Cow::Owned(name.to_owned()),
            until: latest(case, unified_reset(case)).unwrap_or_else(|| later(case.now, UNKNOWN)),
            models_only: limits::extent(name) == Extent::Models,
        });
    }
    let resets = rejected.iter().filter_map(|window| limits::clamp(window.resets_at?, case.now)).max();
    let binding =
        rejected.iter().max_by_key(|window| (window.extent == Extent::Account, window.resets_at))?;
    Some(Limit {
        window: Cow::Owned(binding.name.to_owned()),
        until: latest(case, resets.or_else(|| unified_reset(case)))
            .unwrap_or_else(|| later(case.now, UNKNOWN)),
        models_only: rejected.iter().all(|window| window.extent == Extent::Models),
    })
}

/// Codex: until the instant in the body, else in the header of the window that is full.
fn codex(case: &Case<'_>, windows: &Windows) -> Option<Limit> {
    if !case.error.says(&["usage_limit_reached"]) {
        return None;
    }
    let full = limits::full(windows).max_by_key(|window| window.resets_at);
    let said = case.error.resets_at.and_then(|at| limits::clamp(at, case.now));
    let said = said.or_else(|| limits::after(case.now, case.error.resets_in?.as_secs_f64()));
    let said = said.or_else(|| limits::clamp(full?.resets_at?, case.now));
    let said = said.or_else(|| limits::retry_after(case.headers, case.now));
    Some(Limit {
        window: full
            .map_or(Cow::Borrowed("usage_limit_reached"), |window| Cow::Owned(window.name.to_owned())),
        until: said.unwrap_or_else(|| later(case.now, CODEX_UNKNOWN)),
        models_only: false,
    })
}

/// `OpenAI`: the account has no money left. Nobody says when it will have some.
fn no_money(case: &Case<'_>) -> Option<Limit> {
    let code = ["insufficient_quota", "credit_balance_exhausted"]
        .into_iter()
        .find(|code| case.error.says(&[code]))?;
    Some(Limit { window: Cow::Borrowed(code), until: later(case.now, FORBIDDEN), models_only: false })
}

/// Too many requests or tokens in a short time; `None` if nothing at all was said of limits.
fn throttled(case: &Case<'_>, windows: &Windows) -> Option<Timestamp> {
    // A window of hours that happens to be full is no per-minute limit.
    let minutes = limits::full(windows)
        .filter(|window| !window.name.contains("_hour") && !window.name.contains("_day"));
    let resets = minutes.filter_map(|window| limits::clamp(window.resets_at?, case.now)).max();
    let in_body = || {
        let at = case.error.resets_at.and_then(|at| limits::clamp(at, case.now));
        at.or_else(|| limits::after(case.now, case.error.resets_in?.as_secs_f64()))
    };
    let said = latest(case, resets).or_else(in_body);
    let hinted = limits::says_anything(case.headers)
        || case.error.mentions(&["at capacity"])
        || case.error.says(&["rate_limit_exceeded", "slow_down", "requests", "tokens"]);
    said.or_else(|| hinted.then(|| later(case.now, UNKNOWN)))
}

/// The later of `retry-after` and what the windows say.
fn latest(case: &Case<'_>, windows: Option<Timestamp>) -> Option<Timestamp> {
    windows.max(limits::retry_after(case.headers, case.now))
}

fn unified_reset(case: &Case<'_>) -> Option<Timestamp> {
    let reset = limits::instant(text(case.headers, "anthropic-ratelimit-unified-reset")?.as_bytes())?;
    limits::clamp(reset, case.now)
}

fn is_out_of_credits(headers: &Headers) -> bool {
    text(headers, "anthropic-ratelimit-unified-overage-disabled-reason") == Some("out_of_credits")
}

fn text<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.text(name).map(str::trim)
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
