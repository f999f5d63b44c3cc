//! Labels, annotations, and the names of what is added to a pod. Part of the interface: see
//! `docs/injection.md`.

/// Label of a namespace or a pod, `"true"` or `"false"`; the pod's wins.
pub const INJECT: &str = "penstock.dev/inject";
/// Annotation on every injected pod: the version that did it.
pub const INJECTED: &str = "penstock.dev/injected";
/// Annotation: the `AccountPool` in the pod's namespace that its requests use.
pub const POOL: &str = "penstock.dev/pool";
/// Annotation: another image of the proxy.
pub const IMAGE: &str = "penstock.dev/proxy-image";
/// Annotation: CPU that is set aside for the sidecar.
pub const CPU_REQUEST: &str = "penstock.dev/proxy-cpu-request";
/// Annotation: CPU that it may use at most; by default there is no limit.
pub const CPU_LIMIT: &str = "penstock.dev/proxy-cpu-limit";
/// Annotation: memory that is set aside for it.
pub const MEMORY_REQUEST: &str = "penstock.dev/proxy-memory-request";
/// Annotation: memory that it may use at most.
pub const MEMORY_LIMIT: &str = "penstock.dev/proxy-memory-limit";
/// Annotation: a log level, or levels by module.
pub const LOG: &str = "penstock.dev/proxy-log";
/// Annotation: the port on 127.0.0.1 where the containers reach the sidecar.
pub const PORT: &str = "penstock.dev/proxy-port";
/// Annotation: the port for probes and metrics.
pub const ADMIN_PORT: &str = "penstock.dev/proxy-admin-port";

/// Every annotation that a pod may carry for us.
pub const ANNOTATIONS: [&str; 10] =
    [INJECTED, POOL, IMAGE, CPU_REQUEST, CPU_LIMIT, MEMORY_REQUEST, MEMORY_LIMIT, LOG, PORT, ADMIN_PORT];

/// The sidecar.
pub const CONTAINER: &str = "penstock-proxy";
/// Name of its port for probes and metrics.
pub const ADMIN_PORT_NAME: &str = "penstock-admin";
/// The projected token.
pub const TOKEN_VOLUME: &str = "penstock-token";
/// The controller's authority.
pub const CA_VOLUME: &str = "penstock-ca";
/// History that waits for the controller.
pub const SPOOL_VOLUME: &str = "penstock-spool";
/// All of them.
pub const VOLUMES: [&str; 3] = [TOKEN_VOLUME, CA_VOLUME, SPOOL_VOLUME];

/// Namespaces of the cluster itself: what keeps it running must not depend on us.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-node-lease", "kube-public"];
