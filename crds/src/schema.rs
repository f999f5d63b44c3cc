//! What makes the generated schema fit for people and for server-side apply.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Bounds of the fields of a condition, which the type of Kubernetes itself does not carry.
const CONDITION_LENGTHS: [(&str, i64); 4] =
    [("type", 316), ("status", 16), ("reason", 1024), ("message", 32_768)];

/// Removes what the derives add and nobody wants to read: `nullable` (nothing of ours writes null, and null
/// is not a way to say "not given"), `default: null`, the formats of Rust's integers that Kubernetes does not
/// know, and line breaks of doc comments. Adds the bounds that conditions lack.
#[must_use]
pub fn tidy(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            walk(root);
        }
    }
    definition
}

fn walk(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if schema.default.as_ref().is_some_and(|default| default.0.is_null()) {
        schema.default = None;
    }
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    if let Some(description) = &mut schema.description {
        *description = description.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n");
    }
    if let Some(properties) = &mut schema.properties
        && properties.contains_key("lastTransitionTime")
    {
        for (name, length) in CONDITION_LENGTHS {
            if let Some(property) = properties.get_mut(name) {
                property.max_length = Some(length);
            }
        }
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        walk(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => walk(items),
        Some(JSONSchemaPropsOrArray::Schemas(all)) => all.iter_mut().for_each(walk),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        walk(values);
    }
}
