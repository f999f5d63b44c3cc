//! The rights that a controller is said to need, and nothing more.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client, Config};
use penstock_e2e::ApiServer;
use serde_json::{Value, json};

use super::create;

/// What is allowed in a watched namespace, but for Secrets.
fn watched() -> Vec<Value> {
    let kinds = ["provideraccounts", "accountpools", "accessgrants"];
    let statuses = kinds.map(|kind| format!("{kind}/status"));
    vec![
        json!({"apiGroups": ["penstock.dev"], "resources": kinds, "verbs": ["list", "watch"]}),
        json!({"apiGroups": ["penstock.dev"], "resources": statuses, "verbs": ["patch"]}),
        json!({
            "apiGroups": ["penstock.dev"], "resources": ["provideraccounts"],
            "verbs": ["get", "create", "update", "delete"],
        }),
        json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}),
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}),
    ]
}

fn named() -> Vec<Value> {
    let verbs = ["get", "list", "watch", "create", "update", "delete"];
    vec![json!({"apiGroups": [""], "resources": ["secrets"], "verbs": verbs})]
}

fn own() -> Vec<Value> {
    let verbs = ["get", "create", "update"];
    vec![json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs})]
}

/// A ServiceAccount that may watch only the namespace that it is in, and read Secrets there or not.
pub(crate) async fn in_one_namespace(server: &ApiServer, namespace: &str, with_secrets: bool) -> Config {
    let client = server.client();
    let secrets = if with_secrets { named() } else { vec![] };
    let namespaces = json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]});
    let rules: Vec<_> = [watched(), secrets, own(), vec![namespaces]].concat();
    bind(&client, namespace, "penstock-controller", &rules).await;
    server.config_as(namespace, "penstock-controller").await.unwrap()
}

/// One that may watch the whole cluster, with a Lease in the namespace that it is in.
pub(crate) async fn everywhere(server: &ApiServer, namespace: &str) -> Config {
    let client = server.client();
    bind(&client, namespace, "penstock-controller", &own()).await;
    let namespaces = json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]});
    let rules: Vec<_> = [watched(), named(), vec![namespaces]].concat();
    let name = format!("{namespace}-controller");
    let roles = Api::<ClusterRole>::all(client.clone());
    let role = json!({"metadata": {"name": name}, "rules": rules});
    roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [subject(namespace)],
    });
    let bindings = Api::<ClusterRoleBinding>::all(client);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    server.config_as(namespace, "penstock-controller").await.unwrap()
}

fn subject(namespace: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": "penstock-controller", "namespace": namespace})
}

async fn bind(client: &Client, namespace: &str, name: &str, rules: &[Value]) {
    create::<Role>(client, namespace, json!({"metadata": {"name": name}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [subject(namespace)],
    });
    create::<RoleBinding>(client, namespace, binding).await;
}
