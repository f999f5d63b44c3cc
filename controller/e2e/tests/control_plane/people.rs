//! The management API, called with tokens of ServiceAccounts: the API server says who they are and what they may.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use penstock_controller::api::{self, Access, ApiState, Rights, Settings};
use penstock_controller::cluster::kubernetes::{client, people::People};
use penstock_controller::fleet::Fleet;
use penstock_controller::ingest;
use penstock_controller::metrics::ReviewMetrics;
use penstock_controller::proxies::Registry;
use penstock_controller::store::Store;
use penstock_controller::store::postgres::Target;
use penstock_controller_core::site::PublicHosts;
use penstock_e2e::api_server::Token;
use penstock_e2e::{ApiServer, with_temp_ns};
use penstock_proto::secret::Secret;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::replica::{Replica, in_namespace};
use super::{account, create, rights, server};

const ADMIN: &str = "0123456789abcdef0123456789abcdef";

/// A replica that watches two namespaces, with its management API.
struct Controller {
    address: SocketAddr,
    replica: Replica,
    _tasks: JoinSet<()>,
}

impl Controller {
    async fn start(server: &ApiServer, own: &str, other: &str) -> Self {
        let config = rights::everywhere(server, own).await;
        may_review(&server.client(), own).await;
        let mut settings = in_namespace(own, "one");
        settings.namespaces.insert(other.to_owned());
        let people = People::new(client::client_of(config.clone()).unwrap());
        let replica = Replica::start(config, settings).await;
        let rights = Rights::new(Box::new(people), Arc::new(Timestamp::now), &ReviewMetrics::default());
        // Accounts are shown without a history, too.
        let store =
            Store::new(Target::parse("postgres://nobody@127.0.0.1:1/none?sslmode=disable", None).unwrap());
        let store = store.unwrap();
        let proxies = Registry::default();
        let state = ApiState {
            ingest: ingest::channel(store.clone(), Arc::new(|_| None)).0,
            store,
            reconciler: replica.reconciler.clone(),
            cluster: replica.cluster.clone(),
            fleet: Arc::new(Fleet::new(proxies.clone(), false)),
            proxies,
            settings: Arc::new(Settings {
                version: String::new(),
                api_listen: String::new(),
                grpc_listen: String::new(),
                objects: "kubernetes".to_owned(),
                database: "external".to_owned(),
                history_days: 1,
            }),
        };
        let router = api::router(
            state,
            Access::in_cluster(Secret::new(ADMIN), "penstock-admin-token", rights, PublicHosts::default()),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, replica, _tasks: tasks }
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string()).unwrap();
        let (status, text) = penstock_e2e::web::send(request).await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        self.call(token, Method::GET, path, &Value::Null).await
    }
}

/// What the controller needs to ask the API server about people.
async fn may_review(client: &Client, own: &str) {
    let name = format!("{own}-reviews");
    let rule = |group, resource| json!({"apiGroups": [group], "resources": [resource], "verbs": ["create"]});
    let rules =
        [rule("authentication.k8s.io", "tokenreviews"), rule("authorization.k8s.io", "subjectaccessreviews")];
    let role = json!({"metadata": {"name": name}, "rules": rules});
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "penstock-controller", "namespace": own}],
    });
    let params = PostParams::default();
    let roles = Api::<ClusterRole>::all(client.clone());
    roles.create(&params, &serde_json::from_value(role).unwrap()).await.unwrap();
    let bindings = Api::<ClusterRoleBinding>::all(client.clone());
    bindings.create(&params, &serde_json::from_value(binding).unwrap()).await.unwrap();
}

/// Lets a ServiceAccount do with accounts, and Secrets beside them, what it likes, in its own namespace.
async fn may_manage(client: &Client, namespace: &str, name: &str) {
    let verbs = ["get", "list", "create", "patch", "delete"];
    let rules = json!([
        {"apiGroups": ["penstock.dev"], "resources": ["provideraccounts"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "patch", "delete"]},
    ]);
    create::<Role>(client, namespace, json!({"metadata": {"name": name}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    });
    create::<RoleBinding>(client, namespace, binding).await;
}

async fn token(server: &ApiServer, namespace: &str, service_account: &str, audience: &str) -> String {
    server.token(Token { namespace, service_account, audience, pod: None }).await.unwrap()
}

#[tokio::test]
async fn a_service_account_sees_and_changes_what_its_role_says_and_nobody_without_one() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |llm: &str| {
        with_temp_ns(&client, async |search: &str| {
            for namespace in [llm, search] {
                account(&client, namespace, "a").await;
            }
            may_manage(&client, llm, "ann").await;
            let ann = token(server, llm, "ann", "").await;
            let controller = Controller::start(server, llm, search).await;

            let (status, shown) = controller.get(&ann, "/api/accounts").await;
            assert_eq!((status, shown[0]["namespace"].as_str(), shown.as_array().map(Vec::len)), (200, Some(llm), Some(1)));
            let new = |namespace| json!({"name": "b", "namespace": namespace, "provider": "anthropic", "apiKey": "sk-1"});
            let made = controller.call(&ann, Method::POST, "/api/accounts", &new(llm)).await;
            assert_eq!(made.0, 201, "{}", made.1);
            let (status, denied) = controller.call(&ann, Method::POST, "/api/accounts", &new(search)).await;
            let words = denied["error"].as_str().unwrap();
            assert_eq!(status, 403, "{words}");
            for named in ["create", "provideraccounts", search] {
                assert!(words.contains(named), "{named}: {words}");
            }
            let (own, foreign) = (format!("/api/accounts/{llm}%2Fb"), format!("/api/accounts/{search}%2Fa"));
            let change = json!({"priority": 3, "apiKey": "sk-2"});
            assert_eq!(controller.call(&ann, Method::PATCH, &own, &change).await.0, 200);
            assert_eq!(controller.call(&ann, Method::PATCH, &foreign, &change).await.0, 403);
            let confirm = |name| json!({"confirm": name});
            assert_eq!(controller.call(&ann, Method::DELETE, &own, &confirm("b")).await.0, 200);
            assert_eq!(controller.call(&ann, Method::DELETE, &foreign, &confirm("a")).await.0, 403);

            let nobody = token(server, llm, "nobody", "").await;
            assert_eq!(controller.get(&nobody, "/api/accounts").await.0, 403);
            // What a gateway is shown must not open this.
            let of_a_caller = token(server, llm, "ann", "penstock").await;
            for wrong in [of_a_caller.as_str(), "wrong", ""] {
                assert_eq!(controller.get(wrong, "/api/accounts").await.0, 401, "{wrong:?}");
            }
            let (_, all) = controller.get(ADMIN, "/api/accounts").await;
            assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
            controller.replica.stop().await;
        })
        .await;
    })
    .await;
}
