//! Checks an object against the generated schema of its kind, as an API server does with strict field
//! validation: unknown fields, types, bounds, patterns, required fields.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use penstock_crds::rules;
use penstock_crds::values::{Duration, Usd, duration};
use serde_json::Value;

use super::spelling::nearest;
use super::{Kind, Step, Violation};

/// The schema of each kind, by its name.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let schema = |definition| {
        let definition = serde_json::to_value(definition).unwrap_or_default();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
        (kind, definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
    };
    penstock_crds::definitions().into_iter().map(schema).collect()
});

/// Everything in `value` that the schema of `kind` does not allow. `metadata` is not looked at, `status` is
/// ignored, as it is when an object is applied.
pub fn check(kind: Kind, value: &Value) -> Vec<Violation> {
    let mut walk = Walk { path: Vec::new(), violations: Vec::new() };
    if let Some(schema) = SCHEMAS.get(kind.name()) {
        walk.value(schema, value);
    }
    walk.violations
}

struct Walk {
    path: Vec<Step>,
    violations: Vec<Violation>,
}

impl Walk {
    fn wrong(&mut self, message: impl Into<String>) {
        self.violations.push(Violation { path: self.path.clone(), message: message.into() });
    }

    fn within(&mut self, step: Step, schema: &Value, value: &Value) {
        self.path.push(step);
        self.value(schema, value);
        self.path.pop();
    }

    fn value(&mut self, schema: &Value, value: &Value) {
        let expected = schema["type"].as_str().unwrap_or_default();
        match (expected, value) {
            ("object", Value::Object(fields)) => self.object(schema, fields),
            ("array", Value::Array(items)) => self.array(schema, items),
            ("string", Value::String(text)) => self.string(schema, text),
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.number(schema, number);
            }
            ("number", Value::Number(number)) => self.number(schema, number),
            ("boolean", Value::Bool(_)) => {}
            _ => self.wrong(format!("must be {}, not {}", article(expected), found(value))),
        }
    }

    fn object(&mut self, schema: &Value, fields: &serde_json::Map<String, Value>) {
        self.size(schema, "Properties", "entries", fields.len());
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.wrong(format!("{name} is missing"));
            }
        }
        let known = schema["properties"].as_object();
        for (name, value) in fields {
            let top = self.path.is_empty();
            // Kubernetes checks the metadata, and nobody but the controller writes the status.
            if top && matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
                continue;
            }
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.within(Step::Key(name.clone()), schema, value);
            } else if schema["additionalProperties"].is_object() {
                self.within(Step::Key(name.clone()), &schema["additionalProperties"], value);
            } else {
                let names = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
                let meant =
                    nearest(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                self.path.push(Step::Key(name.clone()));
                self.wrong(format!("there is no such field{meant}"));
                self.path.pop();
            }
        }
    }

    fn array(&mut self, schema: &Value, items: &[Value]) {
        self.size(schema, "Items", "entries", items.len());
        if schema["x-kubernetes-list-type"] == "set" {
            for (at, item) in items.iter().enumerate().filter(|(at, item)| items[..*at].contains(item)) {
                self.path.push(Step::Index(at));
                self.wrong(format!("{} is in the list twice", shown(item)));
                self.path.pop();
            }
        }
        for (at, item) in items.iter().enumerate() {
            self.within(Step::Index(at), &schema["items"], item);
        }
    }

    fn string(&mut self, schema: &Value, text: &str) {
        self.size(schema, "Length", "characters", text.chars().count());
        if let Some(pattern) = schema["pattern"].as_str()
            && !regex_lite::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
        {
            self.wrong(match text.parse::<Duration>() {
                Err(invalid) if pattern == duration::PATTERN => invalid.to_string(),
                _ => format!("{text:?} does not have the form {pattern}"),
            });
        }
        // The one rule of a scalar that reading it would find too, but without its place.
        let ruled = schema["x-kubernetes-validations"][0]["message"] == rules::USD.message;
        if ruled && text.parse::<Usd>().is_err() {
            self.wrong(rules::USD.message);
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.iter().any(|one| one == text)
        {
            let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            let meant = nearest(text, allowed.iter().copied()).map(|near| format!("did you mean {near}? "));
            let meant = meant.unwrap_or_default();
            self.wrong(format!(
                "{text:?} is not one of the possible values; {meant}Possible: {}",
                allowed.join(", ")
            ));
        }
    }

    fn number(&mut self, schema: &Value, number: &serde_json::Number) {
        let value = number.as_f64().unwrap_or(f64::NAN);
        if let Some(least) = schema["minimum"].as_f64().filter(|least| value < *least) {
            self.wrong(format!("{number} is less than {least}, the least possible"));
        }
        if let Some(most) = schema["maximum"].as_f64().filter(|most| value > *most) {
            self.wrong(format!("{number} is more than {most}, the most possible"));
        }
    }

    fn size(&mut self, schema: &Value, of: &str, what: &str, size: usize) {
        let bound = |name: String| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
        if let Some(least) = bound(format!("min{of}")).filter(|least| size < *least) {
            self.wrong(format!("has {size} {what}; at least {least} are needed"));
        }
        if let Some(most) = bound(format!("max{of}")).filter(|most| size > *most) {
            self.wrong(format!("has {size} {what}; at most {most} are possible"));
        }
    }
}

fn article(expected: &str) -> &str {
    match expected {
        "object" => "a map",
        "array" => "a list",
        "string" => "text (put it in quotes if it looks like a number)",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "empty".into(),
        Value::Object(_) => "a map".into(),
        Value::Array(_) => "a list".into(),
        other => shown(other),
    }
}

/// A scalar for people, cut to a readable length.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
