//! The controller's authority, and whether everybody trusts it.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, failure, good, unknown, warning};
use crate::check::facts::Facts;

/// The controller makes a successor four months before the end; a month before, something keeps it from that.
const NEAR: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn findings(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let secret = format!("the Secret {}-ca", facts.name);
    let authority = match &facts.authority {
        Ok(authority) => authority,
        Err(why) => {
            let missing = || {
                let advice =
                    format!("kubectl logs -n {} deployment/{}-controller", facts.namespace, facts.name);
                failure(format!("{secret} is missing: the controller has not made its authority"), advice)
            };
            return vec![unknown(&secret, why, missing)];
        }
    };
    let ends = authority.ends;
    let day = ends.strftime("%Y-%m-%d");
    let advice = format!(
        "kubectl logs -n {} deployment/{}-controller: it replaces its authority by itself, and may not write {secret}",
        facts.namespace, facts.name
    );
    let mut findings = vec![if ends <= now {
        failure(format!("the authority ended on {day}: no proxy connects"), advice)
    } else if ends.duration_since(now) < NEAR {
        warning(format!("the authority ends on {day} and has no successor in force"), advice)
    } else {
        good(format!("the authority is valid until {day}"))
    }];
    findings.push(bundles(facts, &authority.bundle));
    findings
}

/// Whether every namespace with proxies has the ConfigMap, with what is to be trusted now.
fn bundles(facts: &Facts, bundle: &str) -> Finding {
    let name = format!("the ConfigMap {}-ca", facts.name);
    let bundles = match &facts.bundles {
        Ok(bundles) => bundles,
        Err(why) => return unknown(&name, why, || failure(format!("{name} is nowhere"), "look again")),
    };
    let advice = format!("kubectl logs -n {} deployment/{}-controller", facts.namespace, facts.name);
    let labelled = facts.labelled.iter().flatten().map(|(namespace, _)| namespace);
    let without: Vec<_> = labelled.filter(|namespace| !bundles.contains_key(*namespace)).collect();
    let other: Vec<_> = bundles
        .iter()
        .filter(|(_, there)| there.as_str() != bundle)
        .map(|(namespace, _)| namespace)
        .collect();
    if !other.is_empty() {
        let text = format!("{name} is not that of the authority in {}", list(&other));
        return failure(text, format!("{advice}; proxies there cannot connect"));
    }
    if !without.is_empty() {
        return failure(
            format!("{name} is missing in {}: sidecars there cannot connect", list(&without)),
            advice,
        );
    }
    good(format!("proxies trust it in {} namespaces", bundles.len()))
}

fn list(names: &[&String]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}
