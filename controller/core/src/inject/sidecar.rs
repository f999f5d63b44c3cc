//! The container that is added, and its volumes, as the manifest they are.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::options::Options;
use super::ports::Ports;
use super::{Settings, names};

/// The user of the proxy's image: without a name, a home or rights.
const USER: i64 = 65532;
/// A kubelet renews the token when four fifths of it are over.
const TOKEN_SECONDS: i64 = 3600;
/// Whom the token is for: the controller accepts no other.
const AUDIENCE: &str = "penstock";
/// The proxy's spool holds 256 MiB at most. A pod whose volume holds more than its limit is evicted, so there
/// is room for the segment that is being written.
const SPOOL_LIMIT: &str = "300Mi";
/// Seconds that a start may take: a day. Until the controller is reachable there is nothing to serve, and
/// restarting would only make the next attempt later.
const STARTUP_PATIENCE: i64 = 86_400;

const TOKEN_FOLDER: &str = "/var/run/secrets/penstock";
const CA_FOLDER: &str = "/var/run/penstock-ca";
const SPOOL_FOLDER: &str = "/var/spool/penstock";

/// Address that the containers' base URLs begin with.
pub(super) fn workload_address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The container.
pub(super) fn container(options: &Options, ports: Ports, settings: &Settings) -> Value {
    let mut container = json!({
        "name": names::CONTAINER,
        "image": options.image,
        "env": variables(options, ports, settings),
        "ports": [{ "name": names::ADMIN_PORT_NAME, "containerPort": ports.admin, "protocol": "TCP" }],
        // Ready once the first snapshot is in force; the other containers start then.
        "startupProbe": probe("/readyz", ports.admin, json!({ "periodSeconds": 1, "failureThreshold": STARTUP_PATIENCE })),
        "readinessProbe": probe("/readyz", ports.admin, json!({ "periodSeconds": 10, "timeoutSeconds": 5 })),
        "livenessProbe": probe("/livez", ports.admin, json!({ "periodSeconds": 10, "timeoutSeconds": 5 })),
        "resources": resources(options),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": USER,
            "runAsNonRoot": true,
            "runAsUser": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        // A mistake in the settings is then told by the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            { "name": names::TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true },
            { "name": names::CA_VOLUME, "mountPath": CA_FOLDER, "readOnly": true },
            { "name": names::SPOOL_VOLUME, "mountPath": SPOOL_FOLDER },
        ],
    });
    if settings.native {
        container["restartPolicy"] = json!("Always");
    }
    container
}

/// The volumes that it mounts.
pub(super) fn volumes(settings: &Settings) -> [Value; 3] {
    let token = json!({ "path": "token", "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS });
    [
        json!({ "name": names::TOKEN_VOLUME, "projected": { "sources": [{ "serviceAccountToken": token }] } }),
        // Optional: the namespace may be so new that it is not there yet.
        json!({ "name": names::CA_VOLUME, "configMap": { "name": settings.ca_config_map(), "optional": true } }),
        json!({ "name": names::SPOOL_VOLUME, "emptyDir": { "sizeLimit": SPOOL_LIMIT } }),
    ]
}

fn variables(options: &Options, ports: Ports, settings: &Settings) -> Vec<Value> {
    let text = |name: &str, value: &str| json!({ "name": name, "value": value });
    let field =
        |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let mut variables = vec![
        text("PENSTOCK_ROLE", "sidecar"),
        text("PENSTOCK_LISTEN", &workload_address(ports.workload)),
        text("PENSTOCK_ADMIN_LISTEN", &SocketAddr::new(settings.admin_address, ports.admin).to_string()),
        text("PENSTOCK_CONTROLLER", &settings.controller),
        text("PENSTOCK_CONTROLLER_CA", &format!("{CA_FOLDER}/ca.crt")),
        text("PENSTOCK_TOKEN_FILE", &format!("{TOKEN_FOLDER}/token")),
        text("PENSTOCK_SPOOL_DIR", SPOOL_FOLDER),
        field("PENSTOCK_NAMESPACE", "metadata.namespace"),
        field("PENSTOCK_POD", "metadata.name"),
        field("PENSTOCK_SERVICE_ACCOUNT", "spec.serviceAccountName"),
        text("PENSTOCK_LOG_FORMAT", "json"),
    ];
    variables.extend(options.log.as_deref().map(|log| text("PENSTOCK_LOG", log)));
    variables.extend(options.pool.as_deref().map(|pool| text("PENSTOCK_POOL", pool)));
    variables
}

fn resources(options: &Options) -> Value {
    let resources = &options.resources;
    let mut limits = json!({ "memory": resources.memory_limit });
    if let Some(cpu) = &resources.cpu_limit {
        limits["cpu"] = json!(cpu);
    }
    json!({
        "requests": { "cpu": resources.cpu_request, "memory": resources.memory_request },
        "limits": limits,
    })
}

fn probe(path: &str, port: u16, timing: Value) -> Value {
    let mut probe = timing;
    probe["httpGet"] = json!({ "path": path, "port": port });
    probe
}
