//! How to get to the provider.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::values::LocalRef;

/// How to get to the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// An HTTP proxy that is asked with CONNECT, e.g. `http://egress:3128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), extend("x-kubernetes-validations" = [rules::PROXY_URL.to_json()]))]
    pub proxy_url: Option<String>,
    /// Certificate authorities to trust besides the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// Certificate authorities in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// A ConfigMap in the account's namespace with the certificates under the key `ca.crt`.
    pub config_map_ref: LocalRef,
}

impl Egress {
    /// Whether it is the direct way with the usual trust.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
