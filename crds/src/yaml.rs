//! The definitions as the files beside `src/`, and as the chart applies them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::definitions;

/// What the files begin with.
const HEADER: &str = "# Generated from the types in crds/src by `make crds`. Do not edit.\n";
/// Helm leaves an object with this annotation where it is when the release goes: with a definition would go every
/// object of its kind.
const KEEP: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// The name and content of each file.
///
/// # Errors
/// If a definition cannot be written as YAML, which is a mistake in a type.
pub fn files() -> Result<Vec<(String, String)>, serde_saphyr::SerializeError> {
    definitions().iter().map(file).collect()
}

/// The same for the chart: definitions that stay when the release goes.
///
/// # Errors
/// As of [`files`].
pub fn chart_files() -> Result<Vec<(String, String)>, serde_saphyr::SerializeError> {
    let kept = |mut definition: CustomResourceDefinition| {
        let annotations = definition.metadata.annotations.get_or_insert_default();
        annotations.insert(KEEP.0.to_owned(), KEEP.1.to_owned());
        file(&definition)
    };
    definitions().into_iter().map(kept).collect()
}

fn file(definition: &CustomResourceDefinition) -> Result<(String, String), serde_saphyr::SerializeError> {
    let spec = &definition.spec;
    let yaml = serde_saphyr::to_string(definition)?;
    Ok((format!("{}_{}.yaml", spec.group, spec.names.plural), format!("{HEADER}{yaml}")))
}
