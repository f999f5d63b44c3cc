//! Which models an account serves, and under which names.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::rules;

/// Which models an account serves, and under which names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Models {
    /// Globs of the models that may be asked of it, e.g. `claude-*`; `*` stands for any characters. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub allow: Vec<String>,
    /// What to ask this account for instead, by glob of the model asked for, e.g.
    /// `claude-sonnet-*: [glm-4.7, glm-4.6]`. The models of a list are tried in order; of several globs that match,
    /// the one with the most characters counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "map")]
    pub map: BTreeMap<String, Vec<String>>,
}

impl Models {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {
            "type": "array",
            "maxItems": 8,
            "items": { "type": "string", "minLength": 1, "maxLength": 128 },
            "x-kubernetes-list-type": "atomic",
        },
        "x-kubernetes-validations": [rules::MODEL_MAP_TARGETS.to_json()],
    })
}
