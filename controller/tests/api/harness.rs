//! The API as the controller serves it, and somebody who calls it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use penstock_controller::api::{self, Access, ApiState, Settings};
use penstock_controller::cluster::Cluster;
use penstock_controller::cluster::directory::{self, Directory};
use penstock_controller::fleet::Fleet;
use penstock_controller::ingest::{self, Ingest};
use penstock_controller::metrics::ReconcileMetrics;
use penstock_controller::proxies::Registry;
use penstock_controller::reconcile::{self, Reconciler};
use penstock_controller_core::site::PublicHosts;
use penstock_crds::Provider;
use penstock_proto::secret::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::document::Document;
use crate::support::{self, Database};

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// How every credential of these tests begins.
pub(crate) const SECRET: &str = "sk-secret";
/// What every request costs, in nano-dollars.
const COST: i64 = 2_000_000;

/// A listener of its own, on a database of its own.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) ingest: Ingest,
    pub(crate) reconciler: Reconciler,
    pub(crate) directory: Arc<Directory>,
    pub(crate) folder: TempDir,
    pub(crate) document: Document,
    http: Client<HttpConnector, Full<Bytes>>,
    _database: Database,
    _tasks: JoinSet<()>,
}

/// What came back, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `Null` if it is not JSON.
    pub(crate) json: Value,
}

/// A stream of server-sent events, as far as it was read.
pub(crate) struct Heard {
    body: hyper::body::Incoming,
    text: String,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with_keys(Vec::new()).await
    }

    /// With accounts that come from the environment.
    pub(crate) async fn with_keys(api_keys: Vec<(Provider, Secret)>) -> Self {
        let public_hosts = PublicHosts::parse(["penstock.example.com"]).unwrap();
        Self::with(api_keys, Access::by_token(Secret::new(TOKEN), public_hosts)).await
    }

    /// For others than the administrator, too.
    pub(crate) async fn with_access(access: Access) -> Self {
        Self::with(Vec::new(), access).await
    }

    async fn with(api_keys: Vec<(Provider, Secret)>, access: Access) -> Self {
        let (database, folder) = (support::database().await, tempfile::tempdir().unwrap());
        let mut tasks = JoinSet::new();
        let (ingest, ingester) = ingest::channel(database.store.clone(), Arc::new(|_| Some(COST)));
        tasks.spawn(ingester.run(CancellationToken::new()));
        let settings = directory::Settings {
            folder: folder.path().to_owned(),
            api_keys,
            ..directory::Settings::default()
        };
        let directory = Directory::open(settings).await.unwrap();
        let cluster = Cluster::Directory(Arc::clone(&directory));
        let (clock, proxies) = (Arc::new(Timestamp::now), Registry::default());
        let (reconciler, deciding) =
            reconcile::channel(cluster.objects(), proxies.clone(), clock, ReconcileMetrics::default());
        tasks.spawn(deciding.run(CancellationToken::new()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Arc::new(settings_shown(address));
        let store = database.store.clone();
        let state = ApiState {
            store,
            ingest: ingest.clone(),
            reconciler: reconciler.clone(),
            cluster,
            fleet: Arc::new(Fleet::new(proxies.clone(), false)),
            proxies,
            settings,
        };
        let router = api::router(state, access);
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = Client::builder(TokioExecutor::new()).build_http();
        let document = Document::new();
        Self {
            address,
            ingest,
            reconciler,
            directory,
            folder,
            document,
            http,
            _database: database,
            _tasks: tasks,
        }
    }

    /// A request of the administrator.
    pub(crate) fn admin(&self, method: Method, path: &str) -> Builder {
        self.anybody(method, path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
    }

    /// A request of somebody who has shown nothing yet.
    pub(crate) fn anybody(&self, method: Method, path: &str) -> Builder {
        Request::builder().method(method).uri(format!("http://{}{path}", self.address))
    }

    /// Opens an answer, to be read by the caller.
    pub(crate) async fn open(&self, request: Builder, body: &str) -> Response<hyper::body::Incoming> {
        let request = request.body(Full::from(body.to_owned())).unwrap();
        self.http.request(request).await.unwrap()
    }

    /// Sends a body and holds the answer against the document.
    pub(crate) async fn send(&self, request: Builder, body: &str) -> Answer {
        let method = request.method_ref().unwrap().clone();
        let path = request.uri_ref().unwrap().path().to_owned();
        let (head, body) = self.open(request, body).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        for secret in [SECRET, TOKEN] {
            assert!(!text.contains(secret), "{method} {path} answers a secret: {text}");
            assert!(!format!("{:?}", head.headers).contains(secret), "{method} {path}: {:?}", head.headers);
        }
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let kind = head.headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
        self.document.check(&method, &path, head.status, kind, &json);
        Answer { status: head.status, headers: head.headers, json }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.admin(Method::GET, path), "").await
    }

    /// GETs what must be there.
    pub(crate) async fn shown(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.json);
        answer.json
    }

    /// Calls with a JSON body.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.admin(method, path).header(header::CONTENT_TYPE, "application/json");
        self.send(request, &body.to_string()).await
    }

    /// Adds an account that has a key.
    pub(crate) async fn add_account(&self, name: &str) {
        let new = json!({"name": name, "provider": "anthropic", "apiKey": format!("{SECRET}-{name}")});
        assert_eq!(self.call(Method::POST, "/api/accounts", &new).await.status, StatusCode::CREATED);
    }

    /// Writes a file of the folder, and waits until it is taken in.
    pub(crate) async fn write(&self, file: &str, manifest: &str) {
        std::fs::write(self.folder.path().join(file), manifest).unwrap();
        self.directory.reload().await;
    }
}

impl From<hyper::body::Incoming> for Heard {
    fn from(body: hyper::body::Incoming) -> Self {
        Self { body, text: String::new() }
    }
}

impl Heard {
    /// Reads on until it says this; everything that it said.
    pub(crate) async fn until(&mut self, end: &str) -> &str {
        while !self.text.contains(end) {
            let frame = self.body.frame().await.unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        &self.text
    }
}

impl Answer {
    /// The error's words, of an answer with this status.
    pub(crate) fn refused(&self, status: StatusCode) -> &str {
        assert_eq!(self.status, status, "{}", self.json);
        self.json["error"].as_str().unwrap_or_else(|| panic!("{status} without words: {}", self.json))
    }
}

fn settings_shown(address: SocketAddr) -> Settings {
    Settings {
        version: "1.2.3".to_owned(),
        api_listen: address.to_string(),
        grpc_listen: "127.0.0.1:8091".to_owned(),
        objects: "penstock.d".to_owned(),
        database: "external".to_owned(),
        history_days: 30,
    }
}
