//! What holds of every field of every kind.

use serde_json::Value;

/// Calls `check` with the path and schema of every field of every kind.
fn each_field(check: &mut impl FnMut(&str, &Value)) {
    for definition in penstock_crds::definitions() {
        let kind = definition.spec.names.kind.clone();
        let definition = serde_json::to_value(definition).expect("definitions are JSON");
        walk(&kind, &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], check);
    }
}

fn walk(path: &str, schema: &Value, check: &mut impl FnMut(&str, &Value)) {
    check(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, check);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&format!("{path}[]"), &schema[inner], check);
        }
    }
}

#[test]
fn every_list_map_and_string_is_bounded() {
    each_field(&mut |path, schema| {
        let bounded = match schema["type"].as_str() {
            Some("array") => schema["maxItems"].is_u64(),
            Some("string") => {
                schema["maxLength"].is_u64() || schema["enum"].is_array() || schema["format"] == "date-time"
            }
            Some("object") => {
                schema["properties"].is_object()
                    || schema["maxProperties"].is_u64()
                    || path.ends_with("metadata")
            }
            Some("integer") => {
                path.contains("status") || path.contains("conditions") || schema["maximum"].is_number()
            }
            Some("boolean" | "number") => true,
            other => panic!("{path} has type {other:?}"),
        };
        // Names of Kubernetes itself are bounded by Kubernetes.
        let of_kubernetes = matches!(path.split_once('.'), Some((_, "apiVersion" | "kind")));
        assert!(bounded || of_kubernetes, "{path} has no bound");
    });
}

#[test]
fn every_list_says_how_server_side_apply_merges_it() {
    each_field(&mut |path, schema| {
        if schema["type"] == "array" {
            assert!(schema["x-kubernetes-list-type"].is_string(), "{path} does not say how it is merged");
        }
    });
}

#[test]
fn every_field_teaches_what_it_is_and_none_is_nullable() {
    each_field(&mut |path, schema| {
        let of_ours = path.contains(".spec.") && !path.ends_with("[]");
        assert!(
            !of_ours || schema["description"].as_str().is_some_and(|text| text.len() > 8),
            "{path} says nothing"
        );
        assert!(
            schema.get("nullable").is_none() && schema.get("default") != Some(&Value::Null),
            "{path} is nullable"
        );
    });
}

#[test]
fn every_rule_says_what_to_do() {
    let mut rules = 0;
    each_field(&mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            assert!(rule["message"].as_str().is_some_and(|message| message.len() > 30), "{path}: {rule}");
        }
    });
    assert!(rules > 10, "only {rules} rules are in the schemas");
}
