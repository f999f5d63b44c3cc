//! Everything that the controller ever asks the API server for, caused from outside.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use penstock_e2e::{until, web};
use serde_json::{Value, json};

use super::authority;
use super::installation::{NAMESPACE, pods_of};
use super::team::{ACCOUNTS, Team};

const API_PORT: u16 = 8090;

/// Causes it. What an installation, a start and a team's accounts cause, they have caused already.
pub(crate) async fn exercise(team: &Team<'_>) -> Result<()> {
    a_repeated_event(team).await?;
    an_authority_of_an_account(team).await?;
    a_pool_and_a_grant(team).await?;
    authority::ends_soon(team).await?;
    authority::has_successor(team).await?;
    the_management_api(team).await
}

/// The second event of the same kind is counted onto the first.
async fn a_repeated_event(team: &Team<'_>) -> Result<()> {
    let (name, _) = ACCOUNTS[0];
    for _ in 0..2 {
        pause(team, name, true).await?;
        team.state(name, "Paused").await?;
        pause(team, name, false).await?;
        team.state(name, "Available").await?;
    }
    Ok(())
}

async fn pause(team: &Team<'_>, account: &str, paused: bool) -> Result<()> {
    let change = json!({ "spec": { "paused": paused } }).to_string();
    let patch = ["patch", "pa", account, "-n", team.namespace(), "--type=merge", "--patch", &change];
    team.cluster().kubectl(&patch).await.map(drop)
}

async fn an_authority_of_an_account(team: &Team<'_>) -> Result<()> {
    let authority = rcgen::generate_simple_self_signed(["egress.test".to_owned()])?.cert.pem();
    team.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "egress" }, "data": { "ca.crt": authority },
    }))
    .await?;
    let (name, _) = ACCOUNTS[0];
    let change = json!({ "spec": { "egress": { "caBundle": { "configMapRef": { "name": "egress" } } } } });
    let patch = ["patch", "pa", name, "-n", team.namespace(), "--type=merge", "--patch", &change.to_string()];
    team.cluster().kubectl(&patch).await.map(drop)
}

/// Whose statuses are written.
async fn a_pool_and_a_grant(team: &Team<'_>) -> Result<()> {
    let (name, _) = ACCOUNTS[0];
    let object = |kind: &str, spec: Value| json!({ "apiVersion": "penstock.dev/v1alpha1", "kind": kind, "metadata": { "name": "exercise" }, "spec": spec });
    let pool = json!({ "accounts": { "refs": [{ "name": name }] } });
    let grant =
        json!({ "pool": "exercise", "subjects": [{ "kind": "Namespace", "name": team.namespace() }] });
    team.apply(&object("AccountPool", pool)).await?;
    team.apply(&object("AccessGrant", grant)).await
}

/// With the installation's own token, and as somebody of the cluster.
async fn the_management_api(team: &Team<'_>) -> Result<()> {
    let pods = pods_of(team.cluster(), "controller").await?;
    let address = pods.into_iter().find_map(|pod| pod.status?.pod_ip).context("a controller")?;
    let token = admin_token(team).await?;
    let call = async |method: Method, path: &str, body: Value| {
        let url = format!("http://{address}:{API_PORT}/api/{path}");
        web::call(method, &url, Some(&token), Some(body)).await
    };
    let namespace = team.namespace();
    let account =
        json!({ "name": "by-api", "namespace": namespace, "provider": "anthropic", "apiKey": "sk-one" });
    call(Method::POST, "accounts", account).await?;
    team.state("by-api", "Available").await?;
    let id = format!("accounts/{namespace}%2Fby-api");
    call(Method::PATCH, &id, json!({ "priority": 3, "apiKey": "sk-two" })).await?;
    call(Method::DELETE, &id, json!({ "confirm": "by-api" })).await?;
    call(Method::POST, "keys", json!({ "name": "laptop", "namespace": namespace })).await?;
    call(Method::DELETE, &format!("keys/{namespace}%2Flaptop"), json!({ "confirm": "laptop" })).await?;
    somebody_of_the_cluster(team, &address).await
}

/// A ServiceAccount without any right to accounts, and one that may look at those of its namespace.
async fn somebody_of_the_cluster(team: &Team<'_>, address: &str) -> Result<()> {
    let accounts = format!("http://{address}:{API_PORT}/api/accounts");
    let refused = web::call(Method::GET, &accounts, Some(&token(team, "app").await?), None).await;
    let said = format!("{:#}", refused.err().context("a workload may not see accounts")?);
    ensure!(said.contains("403") && said.contains("provideraccounts"), "{said}");
    let rule = json!({ "apiGroups": ["penstock.dev"], "resources": ["provideraccounts"], "verbs": ["list"] });
    let group = "rbac.authorization.k8s.io";
    team.apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "reader" } }))
        .await?;
    team.apply(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": { "name": "reader" }, "rules": [rule],
    }))
    .await?;
    team.apply(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": group, "kind": "Role", "name": "reader" },
        "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": team.namespace() }],
    }))
    .await?;
    let shown = web::call(Method::GET, &accounts, Some(&token(team, "reader").await?), None).await?;
    let namespaces = shown.as_array().context("a list")?.iter().map(|one| one["namespace"].as_str());
    let namespaces: Vec<_> = namespaces.collect();
    let own = Some(team.namespace());
    ensure!(!namespaces.is_empty() && namespaces.iter().all(|one| *one == own), "{namespaces:?}");
    Ok(())
}

/// For the API server, as `kubectl create token` makes it.
async fn token(team: &Team<'_>, account: &str) -> Result<String> {
    let token = team.cluster().kubectl(&["create", "token", account, "-n", team.namespace()]).await?;
    Ok(token.trim().to_owned())
}

async fn admin_token(team: &Team<'_>) -> Result<String> {
    let output = "--output=jsonpath={.data.token}";
    let secret = ["get", "secret", "penstock-admin-token", "-n", NAMESPACE, output];
    let encoded = until("the admin token", async || {
        let encoded = team.cluster().kubectl(&secret).await?;
        ensure!(!encoded.is_empty(), "it is empty");
        Ok(encoded)
    });
    Ok(String::from_utf8(STANDARD.decode(encoded.await?)?)?)
}
