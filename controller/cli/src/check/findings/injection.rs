//! The webhook, and pods that should have a sidecar.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;

use super::{Finding, failure, good, unknown, warning};
use crate::check::facts::{Facts, PodSeen, Unknown};

/// More names do not help.
const NAMED: usize = 5;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = match &facts.webhook {
        Ok(webhook) => self::webhook(facts, webhook),
        Err(Unknown::Missing) => vec![match &facts.labelled {
            Ok(labelled) if !labelled.is_empty() => warning(
                format!("there is no webhook, and {} namespaces are labelled for sidecars", labelled.len()),
                "helm upgrade with injection.enabled=true, or penstock inject",
            ),
            _ => good("not installed: sidecars come by penstock inject"),
        }],
        Err(why) => vec![unknown("the webhook configuration", why, || good("not installed"))],
    };
    findings.extend(match &facts.labelled {
        Ok(labelled) => labelled.iter().map(|(namespace, pods)| self::pods(facts, namespace, pods)).collect(),
        Err(why) => vec![unknown("namespaces and their pods", why, || good("no namespace is labelled"))],
    });
    findings
}

fn webhook(facts: &Facts, configuration: &MutatingWebhookConfiguration) -> Vec<Finding> {
    let name = &facts.name;
    let logs = format!("kubectl logs -n {} deployment/{name}-controller", facts.namespace);
    let mut findings = Vec::new();
    let bundles =
        configuration.webhooks.iter().flatten().map(|webhook| webhook.client_config.ca_bundle.as_ref());
    match &facts.authority {
        Ok(authority) => {
            let trusts = |there: &[u8]| there == authority.bundle.as_bytes();
            let all = bundles.into_iter().all(|there| there.is_some_and(|there| trusts(&there.0)));
            findings.push(if all {
                good("the webhook trusts the authority")
            } else {
                failure(
                    "the webhook configuration has another caBundle: pods start without sidecars",
                    logs.clone(),
                )
            });
        }
        Err(_) if bundles.into_iter().any(|there| there.is_none()) => {
            findings.push(failure(
                "the webhook configuration has no caBundle: pods start without sidecars",
                logs.clone(),
            ));
        }
        // The certificates' section says that it is not known.
        Err(_) => {}
    }
    findings.push(match &facts.webhook_endpoints {
        Ok(0) => failure(
            format!("nothing is behind the Service {name}-webhook: pods start without sidecars"),
            logs,
        ),
        Ok(count) => good(format!("{count} replicas answer the webhook")),
        Err(why) => {
            unknown("the webhook's addresses", why, || failure("the webhook has no Service", "helm upgrade"))
        }
    });
    findings
}

/// Pods that started before their namespace was labelled, or while nobody answered.
fn pods(facts: &Facts, namespace: &str, pods: &[PodSeen]) -> Finding {
    let wanted = || pods.iter().filter(|pod| !pod.opted_out);
    let without: Vec<_> = wanted().filter(|pod| !pod.has_sidecar).map(|pod| pod.name.as_str()).collect();
    let others: Vec<_> = wanted()
        .filter(|pod| pod.injected.as_deref().is_some_and(|version| version != facts.version))
        .map(|pod| pod.name.as_str())
        .collect();
    let advice = format!("kubectl rollout restart -n {namespace} deployment (or what made them)");
    if !without.is_empty() {
        return warning(format!("{namespace}: pods without a sidecar: {}", some(&without)), advice);
    }
    if !others.is_empty() {
        return warning(format!("{namespace}: sidecars of another version: {}", some(&others)), advice);
    }
    good(format!("{namespace}: {} pods with a sidecar", wanted().count()))
}

fn some(names: &[&str]) -> String {
    let mut text = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}
