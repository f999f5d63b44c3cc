//! What the OpenAPI document says of an answer. Closed: a field that it does not name is a mistake.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// Errors that any operation may answer with, described once as its default.
const EVERYWHERE: [StatusCode; 4] = [
    StatusCode::FORBIDDEN,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::SERVICE_UNAVAILABLE,
];

pub(crate) struct Document {
    whole: Value,
    /// The schemas, closed.
    components: Value,
}

impl Document {
    pub(crate) fn new() -> Self {
        let whole = serde_json::to_value(penstock_controller::api::openapi()).unwrap();
        let mut components = whole["components"].clone();
        let parts = parts_of_others(&components["schemas"]);
        for (name, schema) in components["schemas"].as_object_mut().unwrap() {
            if !parts.contains(name) {
                close(schema);
            }
        }
        Self { whole, components }
    }

    /// Every operation: method and path, as `/api/accounts/{id}`.
    pub(crate) fn operations(&self) -> Vec<(Method, String)> {
        let paths = self.whole["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
        });
        operations.collect()
    }

    /// Whether an operation needs no login.
    pub(crate) fn is_open(&self, method: &Method, path: &str) -> bool {
        self.whole["paths"][path][method.as_str().to_lowercase()]["security"] == json!([{}])
    }

    /// Panics if an answer is not as described. Paths that are not of the document are passed over.
    pub(crate) fn check(&self, method: &Method, path: &str, status: StatusCode, kind: &str, body: &Value) {
        let Some(template) = self.template(path) else { return };
        let operation = &self.whole["paths"][template][method.as_str().to_lowercase()];
        let responses = &operation["responses"];
        let said = match &responses[status.as_str()] {
            Value::Null if EVERYWHERE.contains(&status) => &json!({"$ref": "#/components/schemas/ErrorBody"}),
            Value::Null => panic!("{method} {template} does not say that it may answer {status}: {body}"),
            said => &said["content"][kind]["schema"],
        };
        assert!(said.is_object(), "{method} {template} does not say that {status} is {kind}");
        let schema = json!({"allOf": [said], "components": self.components});
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{method} {template} {status}: {errors:#?} in {body:#}");
    }

    /// The path of the document that a path is one of; those without a `{…}` come first.
    fn template(&self, path: &str) -> Option<&str> {
        let segments: Vec<_> = path.split('?').next().unwrap_or_default().split('/').collect();
        let is_one_of = |template: &str| {
            let parts: Vec<_> = template.split('/').collect();
            parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| part.starts_with('{') || part == segment)
        };
        let templates = self.whole["paths"].as_object().unwrap().keys().map(String::as_str);
        templates.filter(|template| is_one_of(template)).min_by_key(|template| template.contains('{'))
    }
}

/// The schemas that others are put together from: they alone do not name every field.
fn parts_of_others(schemas: &Value) -> Vec<String> {
    let all = schemas.as_object().unwrap().values();
    let parts = all.filter_map(|schema| schema["allOf"].as_array()).flatten();
    let names = parts.filter_map(|part| part["$ref"].as_str()?.rsplit('/').next());
    names.map(str::to_owned).collect()
}

fn close(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if fields.contains_key("allOf") || fields.contains_key("properties") {
        fields.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
    }
    for part in fields.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        close(part);
    }
    for part in
        fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
    {
        close(part);
    }
}

#[test]
#[should_panic(expected = "surprise")]
fn a_field_that_is_not_described_is_a_mistake() {
    let health = json!({
        "status": "ok", "accounts": 0, "availableAccounts": 0, "proxies": 0, "storing": true, "ingestDepth": 0,
        "timestamp": "2026-11-21T10:00:00Z", "version": "1", "surprise": 1,
    });
    Document::new().check(&Method::GET, "/health", StatusCode::OK, "application/json", &health);
}

#[test]
#[should_panic(expected = "requests")]
fn a_field_that_is_missing_in_a_part_is_a_mistake() {
    let document = Document::new();
    let schema = json!({"$ref": "#/components/schemas/Point", "components": document.components});
    jsonschema::validate(&schema, &json!({"ts": 1})).unwrap();
}
