//! Mistakes in values are refused, and every value is described.

use serde_json::Value;

use super::{chart, template};

#[test]
fn a_mistake_is_refused_with_a_message_that_names_it() {
    for (mistake, says) in [
        ("gateway.replica=3", "/gateway': additional properties 'replica' not allowed"),
        ("conroller.replicas=3", "additional properties 'conroller' not allowed"),
        (
            "controller.resources.limit.cpu=1",
            "/controller/resources': additional properties 'limit' not allowed",
        ),
        ("controller.replicas=0", "/controller/replicas': minimum: got 0, want 1"),
        ("controller.logFormat=xml", "/controller/logFormat': value must be one of 'json', 'text'"),
        ("controller.publicHosts={https://penstock.example.com}", "/controller/publicHosts/0'"),
        ("gateway.maxBody=64MB", "/gateway/maxBody'"),
        ("gateway.service.port=70000", "/gateway/service/port': maximum: got 70,000, want 65,535"),
        (
            "injection.failurePolicy=ignore",
            "/injection/failurePolicy': value must be one of 'Ignore', 'Fail'",
        ),
        ("image.digests.proxy=latest", "/image/digests/proxy'"),
        ("namespaces={Search}", "/namespaces/0'"),
        ("postgres.bundled=false", "postgres.url.secretName is needed while postgres.bundled is false"),
        ("postgres.ca.secretName=a,postgres.ca.configMapName=b,postgres.bundled=true", "not both"),
        ("gateway.httpRoute.enabled=true", "gateway.httpRoute.parentRefs is needed"),
    ] {
        let done = template(&["--set", mistake]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success(), "{mistake} is accepted");
        assert!(said.contains(says), "{mistake}: {said}");
    }
}

#[test]
fn the_schema_knows_exactly_the_values_that_there_are() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let values: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap();
    let mut differences = Vec::new();
    compare(&schema, &values, "", &mut differences);
    // Helm sets it for charts within charts.
    differences.retain(|path| path != "/global");
    assert!(differences.is_empty(), "in values.yaml or in values.schema.json only: {differences:?}");
}

/// Walks objects whose fields the schema lists; those with free keys end the walk.
fn compare(schema: &Value, values: &Value, path: &str, differences: &mut Vec<String>) {
    let Some(known) = schema["properties"].as_object() else { return };
    let empty = serde_json::Map::new();
    let held = values.as_object().unwrap_or(&empty);
    assert_eq!(schema["additionalProperties"], false, "{path} accepts anything");
    for key in known.keys().chain(held.keys().filter(|key| !known.contains_key(*key))) {
        let below = format!("{path}/{key}");
        match (known.get(key), held.get(key)) {
            (Some(schema), Some(value)) => compare(schema, value, &below, differences),
            _ => differences.push(below),
        }
    }
}

#[test]
fn every_part_of_the_values_is_commented() {
    let text = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let mut previous = "";
    let mut bare = Vec::new();
    for line in text.lines() {
        let is_top = line.starts_with(|first: char| first.is_ascii_lowercase());
        // A section with fields explains itself in them.
        if is_top && !line.ends_with(':') && !previous.trim_start().starts_with('#') {
            bare.push(line);
        }
        previous = line;
    }
    assert!(bare.is_empty(), "without a comment: {bare:?}");
}
