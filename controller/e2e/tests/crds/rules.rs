//! Every CEL rule refuses what it should with its own sentence, and nothing else. A rule without a case fails.

use std::collections::BTreeSet;

use penstock_crds::rules::{self, RESERVED_HEADERS, Rule};
use penstock_e2e::with_temp_ns;
use serde_json::{Value, json};

use super::{create, path, schemas, send, server, try_create};

/// One rule at one place, as changes of the smallest good object.
struct Case {
    kind: &'static str,
    /// Where the rule is, as `spec.fallbacks[].targets[]`.
    place: &'static str,
    rule: Rule,
    good: Vec<Value>,
    bad: Vec<Value>,
}

fn smallest(kind: &str) -> Value {
    let spec = match kind {
        "ProviderAccount" => {
            json!({ "provider": "anthropic", "credentials": { "secretRef": { "name": "a" } } })
        }
        "AccountPool" => json!({}),
        "AccessGrant" => json!({ "subjects": [{ "kind": "ClientKey", "name": "laptop" }] }),
        other => panic!("{other} is a new kind: say what its smallest object is"),
    };
    json!({ "apiVersion": "penstock.dev/v1alpha1", "kind": kind, "metadata": { "name": "small" }, "spec": spec })
}

/// The object with these fields of its spec changed; null removes one.
fn changed(kind: &str, change: &Value) -> Value {
    let mut object = smallest(kind);
    let spec = object["spec"].as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(spec.remove(name)),
            value => drop(spec.insert(name.clone(), value.clone())),
        }
    }
    object
}

fn account(place: &'static str, rule: Rule, good: Vec<Value>, bad: Vec<Value>) -> Case {
    Case { kind: "ProviderAccount", place, rule, good, bad }
}

/// Every rule that looks at one state of the object; the one that looks at a change has its own test.
fn cases() -> Vec<Case> {
    let mut cases = account_cases();
    cases.extend(pool_and_grant_cases());
    cases
}

fn account_cases() -> Vec<Case> {
    let base = |url: &str| json!({ "baseUrl": url });
    let proxy = |url: &str| json!({ "egress": { "proxyUrl": url } });
    let usd = |amount: &str| json!({ "budget": { "period": "Day", "usd": amount } });
    let header = |name: &str| json!({ "headers": { name: "x" } });
    let allowed = |value: Value| json!({ "allowedNamespaces": value });
    vec![
        account(
            "spec",
            rules::BASE_URL_REQUIRED,
            vec![json!({ "provider": "openai-compatible", "baseUrl": "http://vllm:8000/v1" })],
            vec![json!({ "provider": "openai-compatible" }), json!({ "provider": "anthropic-compatible" })],
        ),
        account(
            "spec",
            rules::CREDENTIALS_REQUIRED,
            vec![json!({ "provider": "ollama", "credentials": null })],
            vec![json!({ "credentials": null }), json!({ "provider": "codex", "credentials": null })],
        ),
        account(
            "spec.baseUrl",
            rules::BASE_URL,
            ["https://api.example.com", "http://[::1]:8080/v1", "http://vllm.llm.svc/a/b"].map(base).to_vec(),
            [
                "api.example.com",
                "ftp://x",
                "https://x/",
                "https://u@x",
                "https://x?a=b",
                "https://x/#a",
                "https://x y",
            ]
            .map(base)
            .to_vec(),
        ),
        account(
            "spec.models.map",
            rules::MODEL_MAP_TARGETS,
            vec![json!({ "models": { "map": { "claude-*": ["glm-4.7"] } } })],
            vec![json!({ "models": { "map": { "claude-*": [] } } })],
        ),
        account(
            "spec.headers",
            rules::HEADERS,
            vec![header("x-team")],
            RESERVED_HEADERS.map(header).to_vec(),
        ),
        account(
            "spec.egress.proxyUrl",
            rules::PROXY_URL,
            vec![proxy("http://egress:3128")],
            ["https://egress:3128", "http://egress/path", "http://u:p@egress", "egress:3128"]
                .map(proxy)
                .to_vec(),
        ),
        account(
            "spec.allowedNamespaces",
            rules::ALLOWED_NAMESPACES,
            vec![allowed(json!({ "from": "All" })), allowed(json!({ "from": "Selector", "selector": {} }))],
            vec![allowed(json!({ "from": "Selector" })), allowed(json!({ "from": "All", "selector": {} }))],
        ),
        account(
            "spec.budget.usd",
            rules::USD,
            ["200", "12.50", "0.000001"].map(usd).to_vec(),
            ["$5", "1,000", "-1", "1.", ".5", "1e3", ""].map(usd).to_vec(),
        ),
    ]
}

fn pool_and_grant_cases() -> Vec<Case> {
    let accounts = |value: Value| json!({ "accounts": value });
    let target =
        |value: Value| json!({ "fallbacks": [{ "match": { "models": ["claude-*"] }, "targets": [value] }] });
    let subject = |value: Value| json!({ "subjects": [value] });
    vec![
        Case {
            kind: "AccountPool",
            place: "spec.accounts",
            rule: rules::SELECTOR_XOR_REFS,
            good: vec![accounts(json!({ "selector": {} })), accounts(json!({ "refs": [{ "name": "a" }] }))],
            bad: vec![accounts(json!({})), accounts(json!({ "selector": {}, "refs": [{ "name": "a" }] }))],
        },
        Case {
            kind: "AccountPool",
            place: "spec.fallbacks[].targets[]",
            rule: rules::TARGET_POOL_XOR_ACCOUNT,
            good: vec![target(json!({ "pool": "self" })), target(json!({ "account": "a", "model": "m" }))],
            bad: vec![target(json!({ "model": "m" })), target(json!({ "pool": "self", "account": "a" }))],
        },
        Case {
            kind: "AccessGrant",
            place: "spec.subjects[]",
            rule: rules::SUBJECT_NAMESPACE,
            good: vec![subject(json!({ "kind": "ServiceAccount", "name": "a", "namespace": "b" }))],
            bad: vec![
                subject(json!({ "kind": "Namespace", "name": "a", "namespace": "b" })),
                subject(json!({ "kind": "ClientKey", "name": "a", "namespace": "b" })),
            ],
        },
        Case {
            kind: "AccessGrant",
            place: "spec.budget.usd",
            rule: rules::USD,
            good: vec![json!({ "budget": { "period": "Week", "usd": "1" } })],
            bad: vec![json!({ "budget": { "period": "Week", "usd": "one" } })],
        },
    ]
}

/// `spec.fallbacks[3]` → `spec.fallbacks[]`.
fn place_of(field: &str) -> String {
    field.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Kind, place and sentence of every rule in a schema.
fn collect(kind: &str, schema: &Value, place: &str, all: &mut BTreeSet<(String, String, String)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        all.insert((kind.to_owned(), place.to_owned(), rule["message"].as_str().unwrap().to_owned()));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if place.is_empty() { "" } else { "." };
        collect(kind, property, &format!("{place}{dot}{name}"), all);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            collect(kind, &schema[inner], &format!("{place}[]"), all);
        }
    }
}

#[test]
fn every_rule_of_every_schema_has_a_case() {
    let mut in_schemas = BTreeSet::new();
    for (kind, schema) in schemas() {
        collect(&kind, &schema, "", &mut in_schemas);
    }
    let key =
        |kind: &str, place: &str, rule: Rule| (kind.to_owned(), place.to_owned(), rule.message.to_owned());
    let mut tested: BTreeSet<_> = cases().iter().map(|case| key(case.kind, case.place, case.rule)).collect();
    tested.insert(key("ProviderAccount", "spec.provider", rules::PROVIDER_IMMUTABLE));
    assert_eq!(in_schemas, tested);
}

#[tokio::test]
async fn every_rule_refuses_what_it_should_with_the_sentence_that_says_what_to_do() {
    let client = server().await.client();
    with_temp_ns(&client, async |namespace: &str| {
        for Case { kind, place, rule, good, bad } in cases() {
            for change in good {
                let accepted = try_create(&client, namespace, &changed(kind, &change)).await;
                assert!(accepted.is_ok(), "{kind} {change} should be accepted: {accepted:?}");
            }
            for change in bad {
                let refused = try_create(&client, namespace, &changed(kind, &change)).await;
                let causes = refused.expect_err(&format!("{kind} {change} should be refused"));
                let said = causes.iter().any(|cause| {
                    let message = cause.message.as_deref().unwrap_or_default();
                    message.contains(rule.message)
                        && place_of(cause.field.as_deref().unwrap_or_default()) == place
                });
                assert!(said, "{kind} {change}: wanted {:?} about {place}, got {causes:?}", rule.message);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_provider_of_an_account_cannot_be_changed_afterwards() {
    let client = server().await.client();
    with_temp_ns(&client, async |namespace: &str| {
        let account = smallest("ProviderAccount");
        create(&client, namespace, &account).await;
        let path = format!("{}/small", path(namespace, &account));
        let change = |provider: &str| json!({ "spec": { "provider": provider } });
        send(&client, "PATCH", &path, &change("anthropic")).await.expect("nothing changes");
        let causes =
            send(&client, "PATCH", &path, &change("openai")).await.expect_err("the provider changes");
        assert!(
            causes[0].message.as_deref().unwrap().contains(rules::PROVIDER_IMMUTABLE.message),
            "{causes:?}"
        );
    })
    .await;
}
