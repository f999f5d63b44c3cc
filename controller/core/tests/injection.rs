//! Laws of the injection, for pods as they come.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use penstock_controller_core::inject::{Outcome, Place, Resources, Settings, Skip, inject, inject_again};
use proptest::prelude::*;
use serde_json::{Value, json};

const PLACE: Place<'_> = Place { namespace: Some("team"), asked: true };

fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), any::<bool>()).prop_map(|(native, older)| Settings {
        version: if older { "1.0.0" } else { "1.2.3" }.into(),
        image: "proxy:1".into(),
        controller: "https://c:8091".into(),
        name: "penstock".into(),
        own_namespace: None,
        native,
        admin_address: Ipv4Addr::UNSPECIFIED.into(),
        resources: Resources::default(),
    })
}

/// A value that nobody here knows the meaning of.
fn unknown() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({ "x": [1, { "y": null }] })),
    ]
}

fn variable() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "[A-C]".prop_map(String::from),
        prop::sample::select(vec![
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "OPENAI_BASE_URL",
            "OPENAI_API_KEY",
            "HTTP_PROXY",
            "NO_PROXY",
            "no_proxy",
            "PORT",
        ])
        .prop_map(String::from),
    ];
    let value = prop::sample::select(vec![
        json!("x"),
        json!("8080"),
        json!("penstock"),
        json!("127.0.0.1"),
        json!("http://127.0.0.1:8080"),
        json!(7),
        json!(null),
    ]);
    (name, value, any::<bool>()).prop_map(|(name, value, refers)| {
        if refers {
            json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } })
        } else {
            json!({ "name": name, "value": value })
        }
    })
}

fn container() -> impl Strategy<Value = Value> {
    let env = prop_oneof![Just(json!(null)), prop::collection::vec(variable(), 0..5).prop_map(Value::from)];
    let port = prop::sample::select(vec![80, 8080, 18080, 9901]);
    (env, prop::option::of(port), unknown()).prop_map(|(env, port, unknown)| {
        let ports: Vec<_> = port.into_iter().map(|port| json!({ "containerPort": port })).collect();
        json!({ "image": "x", "env": env, "ports": ports, "unknown": unknown })
    })
}

fn named(prefix: &str, mut containers: Vec<Value>) -> Vec<Value> {
    for (at, container) in containers.iter_mut().enumerate() {
        container["name"] = json!(format!("{prefix}-{at}"));
    }
    containers
}

fn pod() -> impl Strategy<Value = Value> {
    let containers = prop::collection::vec(container(), 1..4);
    let init = prop::option::of(prop::collection::vec(container(), 0..3));
    let volumes = prop::option::of(prop::collection::vec("[a-z]{1,3}", 0..3));
    let metadata = prop_oneof![
        Just(json!(null)),
        unknown().prop_map(|unknown| json!({ "name": "p", "annotations": { "penstock.dev/pool": "batch" }, "unknown": unknown })),
        Just(json!({ "labels": { "penstock.dev/inject": "true" }, "annotations": null })),
    ];
    (containers, init, volumes, metadata, unknown()).prop_map(
        |(containers, init, volumes, metadata, unknown)| {
            let volumes = volumes
                .map(|names| names.iter().map(|name| json!({ "name": name, "emptyDir": {} })).collect());
            json!({
                "metadata": metadata,
                "unknown": unknown,
                "spec": {
                    "containers": named("app", containers),
                    "initContainers": init.map(|init| named("init", init)),
                    "volumes": volumes.unwrap_or(Value::Null),
                    "unknown": unknown,
                },
            })
        },
    )
}

fn injected(pod: &Value, settings: &Settings) -> Value {
    match inject(pod, PLACE, settings) {
        Outcome::Injected { pod, .. } => pod,
        other => panic!("{other:?}"),
    }
}

/// Whether all of `part` is in `whole`: the same values, lists in the same order with others between them.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| is_within(value, other)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            let mut rest = whole.iter();
            part.iter().all(|item| rest.any(|other| is_within(item, other)))
        }
        (Value::Null, Value::Array(_) | Value::Object(_)) => true,
        (part, whole) => part == whole,
    }
}

/// The pod's containers without what may be added to them.
fn without_env(pod: &Value) -> Vec<Value> {
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| pod["spec"][list].as_array());
    let mut containers: Vec<Value> =
        lists.flatten().filter(|c| c["name"] != "penstock-proxy").cloned().collect();
    containers.iter_mut().for_each(|container| drop(container.as_object_mut().map(|map| map.remove("env"))));
    containers
}

proptest! {
    #[test]
    fn injecting_twice_is_injecting_once(pod in pod(), settings in settings()) {
        let once = injected(&pod, &settings);
        prop_assert_eq!(inject(&once, PLACE, &settings), Outcome::Skipped(Skip::AlreadyInjected));
        let Outcome::Injected { pod: again, .. } = inject_again(&once, PLACE, &settings) else {
            return Err(TestCaseError::fail("not injected again"));
        };
        let Outcome::Injected { pod: thrice, .. } = inject_again(&again, PLACE, &settings) else {
            return Err(TestCaseError::fail("not injected the third time"));
        };
        prop_assert_eq!(again, thrice);
    }

    #[test]
    fn nothing_is_removed_or_changed(pod in pod(), settings in settings()) {
        let after = injected(&pod, &settings);
        prop_assert!(is_within(&pod, &after), "{pod}\n{after}");
        prop_assert_eq!(without_env(&pod), without_env(&after));
    }

    #[test]
    fn no_variable_is_set_twice_by_us_and_none_that_is_set(pod in pod(), settings in settings()) {
        let after = injected(&pod, &settings);
        for list in ["initContainers", "containers"] {
            for container in after["spec"][list].as_array().into_iter().flatten() {
                let before = pod["spec"][list].as_array().into_iter().flatten();
                let there = before.clone().find(|other| other["name"] == container["name"]);
                let count = there.map_or(0, |there| there["env"].as_array().map_or(0, Vec::len));
                let names: Vec<_> =
                    container["env"].as_array().into_iter().flatten().map(|v| v["name"].as_str().unwrap()).collect();
                let own: BTreeSet<_> = names[..count].iter().collect();
                let added: BTreeSet<_> = names[count..].iter().collect();
                prop_assert_eq!(added.len(), names.len() - count);
                prop_assert!(own.is_disjoint(&added));
            }
        }
    }

    #[test]
    fn another_version_takes_the_place_of_the_sidecar(pod in pod(), one in settings(), other in settings()) {
        let Outcome::Injected { pod: moved, .. } = inject_again(&injected(&pod, &one), PLACE, &other) else {
            return Err(TestCaseError::fail("not injected again"));
        };
        let lists = ["initContainers", "containers"].into_iter().filter_map(|list| moved["spec"][list].as_array());
        let sidecars = lists.flatten().filter(|container| container["name"] == "penstock-proxy").count();
        prop_assert_eq!(sidecars, 1);
        prop_assert_eq!(&moved["metadata"]["annotations"]["penstock.dev/injected"], &json!(other.version));
    }
}
