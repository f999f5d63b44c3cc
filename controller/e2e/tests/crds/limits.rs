//! Every limit of the schemas, broken one at a time. The cases come from walking the schema and an example that has
//! every field, so a new field or limit is covered, or fails here, by itself.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;
use kube::Client;
use penstock_e2e::with_temp_ns;
use serde_json::{Value, json};

use super::{create, examples, schemas, server, try_create, write_status};

/// A value that breaks one limit, and what the API server says about it.
struct Broken {
    /// JSON pointer into the object.
    pointer: String,
    /// Instead of what is there; `None` removes it.
    value: Option<Value>,
    complaint: String,
}

/// What was found by walking an example along its schema.
#[derive(Default)]
struct Walk {
    broken: Vec<Broken>,
    /// Paths in the schema, e.g. `.spec.models.allow[]`.
    seen: BTreeSet<String>,
}

impl Walk {
    fn node(&mut self, schema: &Value, value: &Value, place: &str, pointer: &str) {
        self.seen.insert(place.to_owned());
        self.break_scalar(schema, pointer);
        self.break_collection(schema, value, pointer);
        for name in schema["required"].as_array().into_iter().flatten() {
            let pointer = format!("{pointer}/{}", escaped(name.as_str().unwrap()));
            self.push(&pointer, None, "Required value".to_owned());
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            let pointer = format!("{pointer}/{}", escaped(name));
            match schema["properties"].get(name) {
                Some(property) => self.node(property, inner, &format!("{place}.{name}"), &pointer),
                None => self.node(&schema["additionalProperties"], inner, &format!("{place}[]"), &pointer),
            }
        }
        for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
            self.node(&schema["items"], inner, &format!("{place}[]"), &format!("{pointer}/{index}"));
        }
    }

    fn break_scalar(&mut self, schema: &Value, pointer: &str) {
        let wrong_type = if schema["type"] == "string" { json!(true) } else { json!("x") };
        // A date that is no string is called no date; a status that is no object is dropped by the API server.
        if schema["format"] != "date-time" && pointer != "/status" {
            self.push(
                pointer,
                Some(wrong_type),
                format!("must be of type {}", schema["type"].as_str().unwrap()),
            );
        }
        if let Some(most) = schema["maxLength"].as_u64() {
            let text = "a".repeat(usize::try_from(most).unwrap() + 1);
            self.push(pointer, Some(text.into()), format!("may not be more than {most} bytes"));
        }
        if let Some(least) = schema["minLength"].as_u64() {
            self.push(pointer, Some("".into()), format!("should be at least {least} chars long"));
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            self.push(pointer, Some("\u{e4}!".into()), format!("should match '{pattern}'"));
        }
        if schema["enum"].is_array() {
            self.push(pointer, Some("no-such-value".into()), "supported values: ".to_owned());
        }
        if schema["format"] == "date-time" {
            self.push(pointer, Some("tomorrow".into()), "must be of type date-time".to_owned());
        }
        if let Some(most) = schema["maximum"].as_f64() {
            self.push(pointer, Some(whole(most + 1.0)), "should be less than or equal to".to_owned());
        }
        if let Some(least) = schema["minimum"].as_f64() {
            self.push(pointer, Some(whole(least - 1.0)), "should be greater than or equal to".to_owned());
        }
    }

    fn break_collection(&mut self, schema: &Value, value: &Value, pointer: &str) {
        if let Some(most) = schema["maxItems"].as_u64() {
            let first = value[0].clone();
            let many = vec![first; usize::try_from(most).unwrap() + 1];
            self.push(pointer, Some(many.into()), format!("must have at most {most} items"));
        }
        if let Some(least) = schema["minItems"].as_u64() {
            self.push(pointer, Some(json!([])), format!("should have at least {least} items"));
        }
        if matches!(schema["x-kubernetes-list-type"].as_str(), Some("set" | "map")) {
            let twice = json!([value[0], value[0]]);
            self.push(&format!("{pointer}/1"), None, "Duplicate value".to_owned());
            self.broken.last_mut().unwrap().value = Some(twice);
        }
        if let Some(most) = schema["maxProperties"].as_u64() {
            let first = value.as_object().unwrap().values().next().unwrap();
            let many = (0..=most).map(|n| (format!("k{n}"), first.clone())).collect();
            self.push(pointer, Some(Value::Object(many)), format!("must have at most {most} items"));
        }
    }

    fn push(&mut self, pointer: &str, value: Option<Value>, complaint: String) {
        self.broken.push(Broken { pointer: pointer.to_owned(), value, complaint });
    }
}

impl Broken {
    /// The example, broken.
    fn apply(&self, example: &Value) -> Value {
        let mut object = example.clone();
        // A duplicate is complained about at the second element, and made by replacing the list.
        let at = match &self.value {
            Some(Value::Array(_)) => self.pointer.strip_suffix("/1").unwrap_or(&self.pointer),
            _ => &self.pointer,
        };
        let (parent, name) = at.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap();
        match (&self.value, name.parse::<usize>()) {
            (Some(value), Ok(index)) if parent.is_array() => parent[index] = value.clone(),
            (Some(value), _) => parent[unescaped(name)] = value.clone(),
            (None, _) => drop(parent.as_object_mut().unwrap().remove(&unescaped(name)).unwrap()),
        }
        object
    }

    /// Whether the API server complains about this field in these words.
    fn is_among(&self, causes: &[StatusCause]) -> bool {
        let field = field(&self.pointer);
        causes.iter().any(|cause| {
            let says = cause.message.as_deref().is_some_and(|message| message.contains(&self.complaint));
            says && cause.field.as_deref() == Some(field.as_str())
        })
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// As Kubernetes writes it: `spec.models.allow[0]`.
fn field(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(index) => field.push_str(&format!("[{index}]")),
            Err(_) if field.is_empty() => field.push_str(part),
            Err(_) => field.push_str(&format!(".{}", unescaped(part))),
        }
    }
    field
}

#[expect(clippy::cast_possible_truncation, reason = "limits are whole numbers below 2^53")]
fn whole(number: f64) -> Value {
    json!(number as i64)
}

/// Every path of a schema below `spec` and `status`.
fn places(schema: &Value, place: &str, all: &mut BTreeSet<String>) {
    all.insert(place.to_owned());
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        places(property, &format!("{place}.{name}"), all);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            places(&schema[inner], &format!("{place}[]"), all);
        }
    }
}

async fn refused(client: &Client, namespace: &str, example: &Value, broken: &Broken) -> Result<(), String> {
    let mut object = broken.apply(example);
    let answer = if broken.pointer.starts_with("/status/") {
        write_status(client, namespace, example, &object["status"], false).await
    } else {
        // The example itself is stored, for its status.
        object["metadata"]["name"] = "broken".into();
        try_create(client, namespace, &object).await
    };
    let wanted = format!("{}: wanted {:?}", field(&broken.pointer), broken.complaint);
    match answer {
        Ok(_) => Err(format!("{wanted}, but it was accepted")),
        Err(causes) if broken.is_among(&causes) => Ok(()),
        Err(causes) => Err(format!("{wanted}, got {causes:?}")),
    }
}

#[tokio::test]
async fn every_limit_of_every_schema_refuses_what_breaks_it_and_names_the_field() {
    let client = server().await.client();
    with_temp_ns(&client, async |namespace: &str| {
        let mut failures = Vec::new();
        for (kind, schema) in schemas() {
            let (mut wanted, mut seen) = (BTreeSet::new(), BTreeSet::new());
            for part in ["spec", "status"] {
                places(&schema["properties"][part], part, &mut wanted);
            }
            for example in examples().iter().filter(|example| example["kind"] == kind.as_str()) {
                create(&client, namespace, example).await;
                let mut walk = Walk::default();
                for part in ["spec", "status"].into_iter().filter(|part| example.get(part).is_some()) {
                    walk.node(&schema["properties"][part], &example[part], part, &format!("/{part}"));
                }
                for broken in &walk.broken {
                    failures.extend(refused(&client, namespace, example, broken).await.err());
                }
                seen.extend(walk.seen);
            }
            let missing: Vec<_> = wanted.difference(&seen).collect();
            assert!(
                missing.is_empty(),
                "no example of {kind} has {missing:?}: add them to the example's file"
            );
        }
        assert!(failures.is_empty(), "{} limits do not hold:\n{}", failures.len(), failures.join("\n"));
    })
    .await;
}
