//! How a proxy introduces itself to the controller.

use serde::{Deserialize, Serialize};

/// Who a proxy says it is. Shown to people; what it may see is decided by its credential alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyIdentity {
    /// Unique per process start.
    pub id: String,
    /// Of the program.
    pub version: String,
    /// Kubernetes namespace; empty outside a cluster.
    pub namespace: String,
    /// Pod name; outside a cluster the host's.
    pub pod: String,
    /// `sidecar`, `gateway` or `standalone`; other values are shown as they are.
    pub role: String,
}
