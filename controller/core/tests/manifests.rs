//! What is refused of a manifest that no API server has seen, and with which words.

use penstock_controller_core::validate::{Kind, manifest};
use penstock_crds::rules::{self, Rule};
use serde_json::{Value, json};

fn object(kind: Kind, spec: &str) -> Value {
    let spec: Value = serde_saphyr::from_str(spec).expect("YAML");
    json!({
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": kind.name(),
        "metadata": {"name": "a"},
        "spec": spec,
    })
}

fn refused(kind: Kind, spec: &str) -> Vec<String> {
    let broken = manifest(kind, &object(kind, spec)).expect_err(spec);
    broken.iter().map(ToString::to_string).collect()
}

#[test]
fn every_rule_of_the_definitions_is_enforced_with_the_same_words() {
    let account = |more: &str| format!("{{provider: ollama, {more}}}");
    let cases: [(Kind, String, Rule); 12] = [
        (Kind::Account, "{provider: openai-compatible}".into(), rules::BASE_URL_REQUIRED),
        (Kind::Account, "{provider: anthropic}".into(), rules::CREDENTIALS_REQUIRED),
        (Kind::Account, account("baseUrl: 'https://a/'"), rules::BASE_URL),
        (Kind::Account, account("models: {map: {x: []}}"), rules::MODEL_MAP_TARGETS),
        (Kind::Account, account("headers: {authorization: x}"), rules::HEADERS),
        (Kind::Account, account("egress: {proxyUrl: 'socks5://a'}"), rules::PROXY_URL),
        (Kind::Account, account("allowedNamespaces: {from: Selector}"), rules::ALLOWED_NAMESPACES),
        (Kind::Account, account("allowedNamespaces: {from: All, selector: {}}"), rules::ALLOWED_NAMESPACES),
        (Kind::Pool, "{accounts: {selector: {}, refs: []}}".into(), rules::SELECTOR_XOR_REFS),
        (Kind::Pool, "{accounts: {}}".into(), rules::SELECTOR_XOR_REFS),
        (
            Kind::Pool,
            "{fallbacks: [{match: {models: [a]}, targets: [{pool: self, account: a}]}]}".into(),
            rules::TARGET_POOL_XOR_ACCOUNT,
        ),
        (
            Kind::Grant,
            "{subjects: [{kind: ClientKey, name: a, namespace: b}]}".into(),
            rules::SUBJECT_NAMESPACE,
        ),
    ];
    for (kind, spec, rule) in cases {
        let messages = refused(kind, &spec);
        assert!(messages.iter().any(|message| message.ends_with(rule.message)), "{spec}: {messages:?}");
    }
}

#[test]
fn every_bound_of_the_schema_is_enforced_at_its_field() {
    for (kind, spec, expected) in [
        (Kind::Account, "{provider: ollama, priority: 101}", "spec.priority: 101 is more than 100"),
        (
            Kind::Account,
            "{provider: ollama, priority: high}",
            "spec.priority: must be a whole number, not \"high\"",
        ),
        (Kind::Account, "{provider: ollama, paused: 1}", "spec.paused: must be true or false, not 1"),
        (Kind::Account, "{provider: olama}", "did you mean ollama?"),
        (Kind::Account, "{provider: ollama, nonsense: 1}", "spec.nonsense: there is no such field"),
        (
            Kind::Account,
            "{provider: ollama, models: {allow: [a, a]}}",
            "spec.models.allow[1]: \"a\" is in the list twice",
        ),
        (
            Kind::Account,
            "{provider: ollama, models: {allow: ['']}}",
            "spec.models.allow[0]: has 0 characters",
        ),
        (Kind::Account, "{provider: ollama, headers: {a: 5}}", "spec.headers.a: must be text"),
        (Kind::Account, "{provider: ollama, limits: {windowCeilings: {fiveHour: 0}}}", "0 is less than 1"),
        (
            Kind::Account,
            "{provider: ollama, limits: {requestsPerMinute: 1.5}}",
            "must be a whole number, not 1.5",
        ),
        (
            Kind::Account,
            "{provider: ollama, budget: {period: Year, usd: \"1\"}}",
            "Possible: Day, Week, Month",
        ),
        (Kind::Account, "{provider: ollama, budget: {period: Day}}", "spec.budget: usd is missing"),
        (
            Kind::Account,
            "{provider: ollama, budget: {period: Day, usd: lots}}",
            "spec.budget.usd: usd must be dollars",
        ),
        (Kind::Account, "{}", "spec: provider is missing"),
        (
            Kind::Pool,
            "{onExhausted: {hold: soon}}",
            "spec.onExhausted.hold: \"soon\" is not a duration like 20s",
        ),
        (Kind::Pool, "{retry: null}", "spec.retry: must be a map, not empty"),
        (Kind::Grant, "{subjects: []}", "spec.subjects: has 0 entries; at least 1 are needed"),
    ] {
        let messages = refused(kind, spec);
        assert!(messages.iter().any(|message| message.contains(expected)), "{spec}: {messages:?}");
    }
}

#[test]
fn names_are_those_of_kubernetes() {
    for metadata in
        [json!({}), json!({"name": "A"}), json!({"name": "a", "namespace": "a.b"}), json!({"name": "-a"})]
    {
        let mut object = object(Kind::Account, "{provider: ollama}");
        object["metadata"] = metadata.clone();
        let broken = manifest(Kind::Account, &object).expect_err("a bad name");
        assert!(broken[0].to_string().starts_with("metadata.name"), "{metadata}: {broken:?}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let messages = refused(Kind::Account, "{provider: olama, priority: 500, pausd: true}");
    assert_eq!(messages.len(), 3, "{messages:?}");
}
