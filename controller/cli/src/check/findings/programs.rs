//! Controller, history and gateway: whether they run and answer.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;

use super::{Finding, failure, good, unknown, warning};
use crate::check::facts::{Facts, Unknown};

/// A lease without one is none of ours; this is Kubernetes' own.
const DEFAULT_LEASE_SECONDS: i32 = 15;

pub(super) fn controller(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let name = format!("{}-controller", facts.name);
    let deployed = match &facts.controller {
        Ok(deployment) => replicas(facts, &name, deployment),
        Err(why) => unknown(&format!("the Deployment {name}"), why, || {
            let text = format!("there is no Deployment {name} in {}", facts.namespace);
            failure(text, "helm install penstock; or say with --namespace and --name what it is called")
        }),
    };
    // Without it the rest would only say the same.
    if matches!(facts.controller, Err(Unknown::Missing)) {
        return vec![deployed];
    }
    let mut findings = vec![deployed, lease(facts, &name, now), ready(facts)];
    findings.extend(health(facts));
    findings
}

pub(super) fn gateway(facts: &Facts) -> Vec<Finding> {
    let name = format!("{}-gateway", facts.name);
    let deployment = match &facts.gateway {
        Ok(deployment) => deployment,
        Err(Unknown::Missing) => return vec![good("not installed: all workloads use sidecars")],
        Err(why) => {
            return vec![unknown(&format!("the Deployment {name}"), why, || unreachable_finding(&name))];
        }
    };
    let mut findings = vec![replicas(facts, &name, deployment)];
    let address = format!("http://{}.{}", facts.name, facts.namespace);
    findings.push(match &facts.gateway_endpoints {
        Ok(0) => failure(
            format!("{address} leads nowhere: no gateway is ready"),
            format!("kubectl logs -n {} deployment/{name}: it says what it waits for", facts.namespace),
        ),
        Ok(count) => good(format!("{address} leads to {count}")),
        Err(why) => unknown("the gateway's addresses", why, || unreachable_finding(&name)),
    });
    findings
}

fn unreachable_finding(name: &str) -> Finding {
    failure(format!("{name} is not there"), "helm upgrade")
}

/// How many run of those that should.
fn replicas(facts: &Facts, name: &str, deployment: &Deployment) -> Finding {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let available = deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    let text = format!("{name}: {available} of {wanted} replicas are available");
    let advice = format!("kubectl describe pods and kubectl logs in {} say why", facts.namespace);
    match available {
        0 => failure(text, advice),
        available if available < wanted => warning(text, advice),
        _ => good(text),
    }
}

fn lease(facts: &Facts, name: &str, now: Timestamp) -> Finding {
    let lease = match &facts.lease {
        Ok(lease) => lease.spec.clone().unwrap_or_default(),
        Err(why) => {
            return unknown(&format!("the Lease {name}"), why, || {
                failure(
                    "no replica has ever led",
                    format!("kubectl logs -n {} deployment/{name}", facts.namespace),
                )
            });
        }
    };
    let Some(holder) = lease.holder_identity.filter(|holder| !holder.is_empty()) else {
        return failure(
            "no replica leads: statuses and limits of accounts are not written",
            format!("kubectl logs -n {} deployment/{name}", facts.namespace),
        );
    };
    let lasts = lease.lease_duration_seconds.unwrap_or(DEFAULT_LEASE_SECONDS);
    let renewed = lease.renew_time.map(|renewed| now.duration_since(renewed.0));
    match renewed {
        Some(age) if age <= SignedDuration::from_secs(i64::from(lasts)) => good(format!("{holder} leads")),
        Some(age) => failure(
            format!("{holder} led until {} s ago, and nobody does now", age.as_secs()),
            format!(
                "kubectl logs -n {} deployment/{name}; do the clocks of the nodes agree?",
                facts.namespace
            ),
        ),
        None => failure(
            "nobody has renewed the Lease",
            format!("kubectl logs -n {} deployment/{name}", facts.namespace),
        ),
    }
}

fn ready(facts: &Facts) -> Finding {
    match &facts.ready {
        Ok(Ok(())) => good("the management API is ready"),
        Ok(Err(reason)) => failure(format!("the management API is not ready: {reason}"), forward(facts)),
        Err(why) => unknown("the management API", why, || {
            failure("the management API has no Service", "helm upgrade")
        }),
    }
}

fn health(facts: &Facts) -> Vec<Finding> {
    let Ok(health) = &facts.health else { return Vec::new() };
    let mut findings = Vec::new();
    findings.push(if health.storing {
        good("Postgres answers: history is stored")
    } else {
        failure(
            "Postgres does not answer: proxies keep the history, in memory and up to 256 MiB of file",
            format!("kubectl logs -n {} deployment/{}-controller says why", facts.namespace, facts.name),
        )
    });
    findings.push(if health.version == facts.version {
        good(format!("the controller is of version {}", health.version))
    } else {
        let text =
            format!("the controller is of version {}, this program of {}", health.version, facts.version);
        warning(text, "use the same version of both")
    });
    findings.push(good(format!("proxies connected to the replica that answered: {}", health.proxies)));
    findings
}

fn forward(facts: &Facts) -> String {
    format!(
        "kubectl port-forward -n {} deployment/{}-controller 8090, then curl localhost:8090/readyz; a network policy may keep the API server from asking",
        facts.namespace, facts.name
    )
}
