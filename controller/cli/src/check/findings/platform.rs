//! The cluster, and the definitions of our kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::ResourceExt;
use penstock_controller_core::inject::has_native_sidecars;

use super::{Finding, failure, good, unknown, warning};
use crate::check::facts::{Facts, Unknown};

/// Older ones lack what the definitions' rules are written in.
const OLDEST: (u32, u32) = (1, 28);

pub(super) fn cluster(facts: &Facts) -> Vec<Finding> {
    let version = match &facts.kubernetes {
        Ok(version) => version,
        Err(Unknown::Missing | Unknown::Forbidden(_)) => {
            return vec![failure(
                "what answers is no Kubernetes API",
                "see which kubeconfig and context are used",
            )];
        }
        Err(Unknown::Failed(said)) => {
            let advice = "is the cluster up, and does the kubeconfig name it? kubectl cluster-info";
            return vec![failure(format!("the API server cannot be reached: {said}"), advice)];
        }
    };
    let minor: String = version.minor.chars().take_while(char::is_ascii_digit).collect();
    let number = version.major.parse().ok().zip(minor.parse().ok());
    let mut findings = vec![good(format!("the API server answers: {}", version.git))];
    if number.is_some_and(|number| number < OLDEST) {
        let advice = format!("upgrade the cluster to {}.{} or newer", OLDEST.0, OLDEST.1);
        findings.push(failure(format!("{} is too old", version.git), advice));
    } else if !has_native_sidecars(&version.major, &version.minor) {
        let advice = "from Kubernetes 1.29 on they complete; until then let Jobs use the gateway";
        findings.push(warning(format!("{}: Jobs cannot have sidecars", version.git), advice));
    }
    findings
}

pub(super) fn definitions(facts: &Facts) -> Vec<Finding> {
    let there = match &facts.definitions {
        Ok(there) => there,
        Err(why) => return vec![unknown("the definitions", why, || install("the definitions are missing"))],
    };
    let ours = penstock_crds::definitions();
    let judged = ours.iter().map(|ours| {
        let name = ours.name_any();
        match there.get(&name) {
            None => install(format!("{name} is missing")),
            Some(definition) if !is_established(definition) => {
                let advice = format!("kubectl describe crd {name} says why");
                failure(format!("{name} is not served"), advice)
            }
            Some(definition) if schemas(definition) != schemas(ours) => {
                let text = format!("{name} is not that of version {}, which this program is", facts.version);
                warning(text, "helm upgrade, or use the program of the installed version")
            }
            Some(_) => good(format!("{name} is installed")),
        }
    });
    judged.collect()
}

fn install(text: impl Into<String>) -> Finding {
    failure(text, "install the chart with crds.install=true, or: kubectl apply -f crds/")
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// What objects of each version look like.
fn schemas(definition: &CustomResourceDefinition) -> Vec<(&str, Option<&JSONSchemaProps>)> {
    let versions = definition.spec.versions.iter();
    let schema = versions.map(|version| {
        (version.name.as_str(), version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()))
    });
    schema.collect()
}
