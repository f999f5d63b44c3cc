use std::collections::BTreeMap;

use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;
use crate::check::facts::{Authority, Health, Kubernetes, PodSeen};

const NOW: &str = "2026-11-21T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn deployment<T: serde::de::DeserializeOwned>(wanted: u32, available: u32) -> T {
    of(json!({
        "metadata": { "name": "d" },
        "spec": { "replicas": wanted, "selector": {}, "template": {} },
        "status": { "availableReplicas": available },
    }))
}

fn webhook<T: serde::de::DeserializeOwned>(bundle: Option<&str>) -> T {
    let bundle = bundle.map(|pem| k8s_openapi::ByteString(pem.as_bytes().to_vec()));
    of(json!({ "metadata": { "name": "penstock" }, "webhooks": [{
        "name": "pod.inject.penstock.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": { "caBundle": bundle },
    }] }))
}

fn account<T: serde::de::DeserializeOwned>(name: &str, status: &Value) -> T {
    of(json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount", "metadata": { "namespace": "llm", "name": name },
        "spec": { "provider": "anthropic", "credentials": { "secretRef": { "name": name } } }, "status": status,
    }))
}

fn pod(name: &str, has_sidecar: bool) -> PodSeen {
    let injected = has_sidecar.then(|| "1.2.3".to_owned());
    PodSeen { name: name.into(), opted_out: false, has_sidecar, injected }
}

/// An installation that is well.
fn facts() -> Facts {
    let definitions = penstock_crds::definitions().into_iter().map(|definition| {
        let mut definition = serde_json::to_value(definition).unwrap();
        definition["status"] = json!({ "conditions": [{ "type": "Established", "status": "True" }] });
        let definition: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
            of(definition);
        (definition.name_any(), definition)
    });
    Facts {
        namespace: "penstock-system".into(),
        name: "penstock".into(),
        version: "1.2.3",
        kubernetes: Ok(Kubernetes { major: "1".into(), minor: "36".into(), git: "v1.36.3".into() }),
        definitions: Ok(definitions.collect()),
        controller: Ok(deployment(2, 2)),
        lease: Ok(of(json!({ "spec": {
            "holderIdentity": "penstock-controller-a", "leaseDurationSeconds": 15, "renewTime": "2026-11-21T11:59:55.000000Z" } }))),
        health: Ok(Health { version: "1.2.3".into(), storing: true, proxies: 3 }),
        ready: Ok(Ok(())),
        authority: Ok(Authority { bundle: "PEM".into(), ends: at("2027-11-21T00:00:00Z") }),
        bundles: Ok(BTreeMap::from([("team".into(), "PEM".into()), ("llm".into(), "PEM".into())])),
        webhook: Ok(webhook(Some("PEM"))),
        webhook_endpoints: Ok(2),
        gateway: Ok(deployment(2, 2)),
        gateway_endpoints: Ok(2),
        labelled: Ok(BTreeMap::from([("team".into(), vec![pod("app-1", true)])])),
        accounts: Ok(vec![account("a", &json!({ "state": "Available" }))]),
    }
}

/// Every finding that is not good, as `sign text → advice`.
fn bad(facts: &Facts) -> Vec<String> {
    let all = judge(facts, at(NOW)).into_iter().flat_map(|section| section.findings);
    let bad = all.filter(|finding| finding.level != Level::Good);
    bad.map(|it| format!("{} {} → {}", it.level.sign(), it.text, it.advice.unwrap_or_default())).collect()
}

/// The one thing that is wrong after `break_it`.
fn only(break_it: impl FnOnce(&mut Facts)) -> String {
    let mut facts = facts();
    break_it(&mut facts);
    let bad = bad(&facts);
    assert_eq!(bad.len(), 1, "{bad:#?}");
    bad[0].clone()
}

#[test]
fn an_installation_that_is_well_has_nothing_to_look_at() {
    assert_eq!(bad(&facts()), [""; 0]);
    let titles: Vec<_> = judge(&facts(), at(NOW)).iter().map(|section| section.title).collect();
    assert_eq!(
        titles,
        ["Kubernetes", "Definitions", "Controller", "Certificates", "Sidecars", "Gateway", "Accounts"]
    );
}

#[test]
fn without_an_api_server_nothing_else_is_judged() {
    let said = only(|facts| facts.kubernetes = Err(Unknown::Failed("connection refused".into())));
    assert!(said.starts_with("× the API server cannot be reached: connection refused"), "{said}");
}

#[test]
fn the_cluster_s_version_is_judged() {
    let version = |minor: &str| {
        let minor = minor.to_owned();
        only(|facts| {
            facts.kubernetes = Ok(Kubernetes { major: "1".into(), git: format!("v1.{minor}.0"), minor });
        })
    };
    assert!(version("27").starts_with("× v1.27.0 is too old"));
    assert!(version("28+").starts_with("‼ v1.28+.0: Jobs cannot have sidecars"));
}

#[test]
fn every_definition_must_be_there_served_and_ours() {
    const NAME: &str = "accountpools.penstock.dev";
    let with = |change: fn(
        &mut BTreeMap<
            String,
            k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        >,
    )| { only(|facts| change(facts.definitions.as_mut().unwrap())) };
    assert!(
        with(|all| drop(all.remove(NAME)))
            .starts_with("× accountpools.penstock.dev is missing → install the chart")
    );
    assert!(
        with(|all| all.get_mut(NAME).unwrap().status = None)
            .starts_with("× accountpools.penstock.dev is not served")
    );
    assert!(
        with(|all| all.get_mut(NAME).unwrap().spec.versions[0].schema = None)
            .starts_with("‼ accountpools.penstock.dev is not that of version 1.2.3")
    );
}

#[test]
fn the_controller_must_run_lead_and_answer() {
    assert!(
        only(|facts| facts.controller = Ok(deployment(2, 1))).starts_with("‼ penstock-controller: 1 of 2")
    );
    assert!(
        only(|facts| facts.controller = Ok(deployment(2, 0))).starts_with("× penstock-controller: 0 of 2")
    );
    assert!(
        only(|facts| facts.controller = Err(Unknown::Missing))
            .contains("there is no Deployment penstock-controller in penstock-system → helm install")
    );
    let lease = |spec: Value| only(|facts| facts.lease = Ok(of(json!({ "spec": spec }))));
    assert!(lease(json!({ "holderIdentity": "" })).starts_with("× no replica leads"));
    let stale = json!({ "holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-11-21T11:59:00.000000Z" });
    assert!(lease(stale).starts_with("× a led until 60 s ago"));
    assert!(
        only(|facts| facts.ready = Ok(Err("waiting for objects".into())))
            .starts_with("× the management API is not ready: waiting for objects")
    );
}

#[test]
fn history_that_cannot_be_stored_and_another_version_are_told() {
    let health = |change: fn(&mut Health)| only(|facts| change(facts.health.as_mut().unwrap()));
    assert!(health(|health| health.storing = false).starts_with("× Postgres does not answer"));
    assert!(
        health(|health| health.version = "1.0.0".into())
            .starts_with("‼ the controller is of version 1.0.0, this program of 1.2.3")
    );
}

#[test]
fn the_authority_must_live_on_and_be_trusted_everywhere() {
    let ends = |text: &str| only(|facts| facts.authority.as_mut().unwrap().ends = at(text));
    assert!(ends("2026-11-20T00:00:00Z").starts_with("× the authority ended on 2026-11-20"));
    assert!(ends("2026-12-01T00:00:00Z").starts_with("‼ the authority ends on 2026-12-01"));
    let bundles =
        |change: fn(&mut BTreeMap<String, String>)| only(|facts| change(facts.bundles.as_mut().unwrap()));
    assert!(
        bundles(|all| drop(all.remove("team"))).contains("is missing in team: sidecars there cannot connect")
    );
    assert!(
        bundles(|all| drop(all.insert("llm".into(), "OLD".into())))
            .contains("is not that of the authority in llm")
    );
}

#[test]
fn the_webhook_must_be_trusted_and_answered() {
    assert!(
        only(|facts| facts.webhook = Ok(webhook(Some("OLD"))))
            .starts_with("× the webhook configuration has another caBundle")
    );
    assert!(
        only(|facts| facts.webhook = Ok(webhook(None)))
            .starts_with("× the webhook configuration has another caBundle")
    );
    assert!(
        only(|facts| facts.webhook_endpoints = Ok(0))
            .starts_with("× nothing is behind the Service penstock-webhook")
    );
    assert!(
        only(|facts| facts.webhook = Err(Unknown::Missing))
            .starts_with("‼ there is no webhook, and 1 namespaces are labelled")
    );
    let mut without = facts();
    (without.webhook, without.labelled) = (Err(Unknown::Missing), Ok(BTreeMap::new()));
    assert_eq!(bad(&without), [""; 0]);
}

#[test]
fn pods_that_lack_their_sidecar_are_named() {
    let pods =
        |pods: Vec<PodSeen>| only(|facts| drop(facts.labelled.as_mut().unwrap().insert("team".into(), pods)));
    let said = pods((1..=7).map(|n| pod(&format!("app-{n}"), false)).collect());
    assert!(said.starts_with("‼ team: pods without a sidecar: app-1, app-2, app-3, app-4, app-5 and 2 more → kubectl rollout restart -n team"), "{said}");
    let old = PodSeen { injected: Some("1.0.0".into()), ..pod("app", true) };
    assert!(pods(vec![old]).starts_with("‼ team: sidecars of another version: app"));
    let mut out = facts();
    let opted_out = PodSeen { opted_out: true, ..pod("app", false) };
    out.labelled.as_mut().unwrap().insert("team".into(), vec![opted_out]);
    assert_eq!(bad(&out), [""; 0]);
}

#[test]
fn a_gateway_is_judged_where_there_is_one() {
    assert!(
        only(|facts| facts.gateway_endpoints = Ok(0))
            .starts_with("× http://penstock.penstock-system leads nowhere")
    );
    let mut without = facts();
    (without.gateway, without.gateway_endpoints) = (Err(Unknown::Missing), Ok(0));
    assert_eq!(bad(&without), [""; 0]);
}

#[test]
fn every_account_that_cannot_serve_is_told_with_its_reason() {
    let bad_one = json!({ "state": "NeedsLogin", "conditions": [{ "type": "CredentialsValid", "status": "False", "reason": "CredentialRejected",
        "message": "the provider rejected the key", "lastTransitionTime": NOW }] });
    let limited = json!({ "state": "Limited", "reason": "FiveHourWindowExhausted", "limitedUntil": "2026-11-21T14:00:00Z" });
    let mut several = facts();
    several.accounts = Ok(vec![
        account("a", &json!({ "state": "Available" })),
        account("b", &bad_one),
        account("c", &limited),
        account("d", &json!(null)),
    ]);
    let said = bad(&several);
    for (said, expected) in said.iter().zip([
        "‼ llm/b is NeedsLogin: the provider rejected the key → put a new credential",
        "‼ llm/c is Limited until 2026-11-21T14:00:00Z: FiveHourWindowExhausted → it comes back by itself",
        "‼ llm/d: no controller has looked at it yet",
    ]) {
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(said.len(), 3);
    assert!(only(|facts| facts.accounts = Ok(vec![])).starts_with("‼ there is no account"));
}

#[test]
fn what_may_not_be_seen_is_no_failure() {
    let said = only(|facts| facts.authority = Err(Unknown::Forbidden("secrets is forbidden".into())));
    assert!(said.starts_with("‼ the Secret penstock-ca may not be seen: secrets is forbidden"), "{said}");
}
