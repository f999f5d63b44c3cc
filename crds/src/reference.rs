//! The reference pages of the kinds, written from their schema: what `kubectl explain` says, on a page.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};

use crate::definitions;

/// What the pages begin with.
const HEADER: &str = "<!-- Generated from the types in crds/src by `make crds`. Do not edit. -->\n";
/// How the pattern of a duration begins.
const DURATION: &str = "^([0-9]{1,9}d)?";

/// A field of a kind, ready for its row.
struct Field<'a> {
    /// From the object's root, `[]` for the items of a list and `*` for the keys of a map.
    path: String,
    schema: &'a JSONSchemaProps,
    required: bool,
}

/// The name and content of each page.
pub fn pages() -> Vec<(String, String)> {
    definitions().iter().map(|kind| (format!("{}.md", name_of(kind)), page(kind))).collect()
}

fn name_of(kind: &CustomResourceDefinition) -> String {
    kind.spec.names.kind.to_lowercase()
}

fn page(kind: &CustomResourceDefinition) -> String {
    let (names, mut text) = (&kind.spec.names, HEADER.to_owned());
    let short = names.short_names.iter().flatten().map(|name| format!("`{name}`"));
    let short = short.collect::<Vec<_>>().join(", ");
    for version in &kind.spec.versions {
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let Some(root) = schema else { continue };
        let description = root.description.as_deref().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n# {}\n\n`{}/{}`, in a namespace, short name {short}. {description}\n\n`kubectl explain {}.spec --recursive` \
             shows the same in a terminal.\n",
            names.kind,
            kind.spec.group,
            version.name,
            names.singular.as_deref().unwrap_or(&names.plural),
        );
        for part in ["spec", "status"] {
            text.push_str(&table(root, part));
        }
        text.push_str(&rules(root));
        text.push_str(&columns(version.additional_printer_columns.as_deref().unwrap_or_default()));
    }
    text
}

/// All fields of `spec` or `status`.
fn table(root: &JSONSchemaProps, part: &str) -> String {
    let Some(schema) = root.properties.as_ref().and_then(|parts| parts.get(part)) else {
        return String::new();
    };
    let mut fields = Vec::new();
    below(schema, part, &mut fields);
    let mut text = format!("\n## {part}\n\n{}\n\n", cell(schema.description.as_deref().unwrap_or_default()));
    text.push_str("| field | type | default | allowed | |\n|---|---|---|---|---|\n");
    for Field { path, schema, required } in &fields {
        let default = match &schema.default {
            Some(default) => format!("`{}`", default.0.to_string().trim_matches('"')),
            None if *required => "**required**".to_owned(),
            None => String::new(),
        };
        let description = cell(schema.description.as_deref().unwrap_or_default());
        let row = format!(
            "| `{}` | {} | {default} | {} | {description} |\n",
            path.replacen(&format!("{part}."), "", 1),
            type_of(schema),
            allowed(schema)
        );
        text.push_str(&row);
    }
    text
}

/// Every field below `schema`, depth first. Conditions are Kubernetes' own type and are not taken apart.
fn below<'a>(schema: &'a JSONSchemaProps, path: &str, fields: &mut Vec<Field<'a>>) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        fields.push(Field { path: path.clone(), schema: property, required: required.contains(name) });
        if name != "conditions" {
            below(property, &path, fields);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        below(items, &format!("{path}[]"), fields);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        below(values, &format!("{path}.*"), fields);
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        return format!("list of {}", type_of(items));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return format!("map to {}", type_of(values));
    }
    let of_format = match schema.format.as_deref() {
        Some("date-time") => Some("time"),
        _ if schema.pattern.as_deref().is_some_and(|pattern| pattern.starts_with(DURATION)) => {
            Some("duration")
        }
        _ => None,
    };
    of_format.or(schema.type_.as_deref()).unwrap_or("any").to_owned()
}

/// What a value may be, besides its type.
fn allowed(schema: &JSONSchemaProps) -> String {
    let mut parts = Vec::new();
    if let Some(values) = &schema.enum_ {
        let values = values.iter().map(|value| format!("`{}`", value.0.to_string().trim_matches('"')));
        parts.push(values.collect::<Vec<_>>().join(", "));
    }
    parts.extend(range(schema.minimum, schema.maximum, ""));
    if type_of(schema) != "duration" {
        let length = |length: Option<i64>| length.map(count);
        parts.extend(range(length(schema.min_length), length(schema.max_length), " characters"));
        parts.extend(schema.pattern.iter().map(|pattern| format!("`{}`", cell(pattern))));
    }
    parts.extend(range(schema.min_items.map(count), schema.max_items.map(count), " items"));
    parts.extend(range(None, schema.max_properties.map(count), " entries"));
    parts.join("; ")
}

#[expect(clippy::cast_precision_loss, reason = "lengths and counts are far below 2^53")]
fn count(number: i64) -> f64 {
    number as f64
}

fn range(least: Option<f64>, most: Option<f64>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (None | Some(0.0), None) => None,
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
    }
}

/// What the API server says about a value that breaks a rule.
fn rules(root: &JSONSchemaProps) -> String {
    let mut fields = Vec::new();
    for (name, schema) in root.properties.iter().flatten() {
        fields.push(Field { path: name.clone(), schema, required: false });
        below(schema, name, &mut fields);
    }
    let mut text = String::new();
    for Field { path, schema, .. } in &fields {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            let message = cell(rule.message.as_deref().unwrap_or(&rule.rule));
            text.push_str(&format!("| `{path}` | {message} |\n"));
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\n## Rules\n\nAn object that breaks one is refused, with this message.\n\n| of | |\n|---|---|\n{text}"
    )
}

/// What `kubectl get` shows.
fn columns(columns: &[CustomResourceColumnDefinition]) -> String {
    let mut text = "\n## Columns of `kubectl get`\n\n| column | from | |\n|---|---|---|\n".to_owned();
    for column in columns {
        let wide =
            if column.priority.is_some_and(|priority| priority > 0) { " (with `-o wide`)" } else { "" };
        let description = cell(column.description.as_deref().unwrap_or_default());
        text.push_str(&format!("| {}{wide} | `{}` | {description} |\n", column.name, column.json_path));
    }
    text
}

/// Text that does not break a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
