//! The definitions as the files beside `src/`.

use crate::definitions;

/// What the files begin with.
const HEADER: &str = "# Generated from the types in crds/src by `make crds`. Do not edit.\n";

/// The name and content of each file.
///
/// # Errors
/// If a definition cannot be written as YAML, which is a mistake in a type.
pub fn files() -> Result<Vec<(String, String)>, serde_saphyr::SerializeError> {
    let file = |definition: &_| serde_saphyr::to_string(definition).map(|yaml| format!("{HEADER}{yaml}"));
    definitions()
        .iter()
        .map(|definition| {
            let spec = &definition.spec;
            Ok((format!("{}_{}.yaml", spec.group, spec.names.plural), file(definition)?))
        })
        .collect()
}
