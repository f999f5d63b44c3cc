//! A controller on a real socket, with objects that the test edits, and the client that talks to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use penstock_controller::certificates::Certificates;
use penstock_controller::grpc::{Grpc, Identity};
use penstock_controller::ingest::{self, Ingest, Ingester};
use penstock_controller::metrics::Metrics;
use penstock_controller::proxies::ConnectedProxy;
use penstock_controller::proxies::Registry;
use penstock_controller::reconcile::{self, Reconciler};
use penstock_controller::store::Store;
use penstock_controller_core::objects::{Objects, SecretObject};
use penstock_proto::ids::{ObjectId, ResourceKey};
use penstock_proto::peer::ProxyIdentity;
use penstock_proto::secret::Secret;
use penstock_proto::wire;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};
use wire::control_client::ControlClient;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Controller {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Certificates,
    pub(crate) registry: Registry,
    pub(crate) reconciler: Reconciler,
    pub(crate) ingest: Ingest,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
    objects: watch::Sender<Arc<Objects>>,
    pub(crate) data: TempDir,
}

/// One stream of pushes.
pub(crate) struct Subscription {
    say: mpsc::Sender<wire::SubscribeRequest>,
    pushes: Streaming<wire::SubscribeResponse>,
    /// What a proxy would hold by now.
    pub(crate) held: BTreeMap<ResourceKey, String>,
}

/// One stream of reports.
pub(crate) struct Reporting {
    pub(crate) say: mpsc::Sender<wire::ReportRequest>,
    pub(crate) answers: Streaming<wire::ReportResponse>,
}

pub(crate) fn id(name: &str) -> ObjectId {
    ObjectId::new("default", name).unwrap()
}

fn account(name: &str, priority: u8) -> Value {
    json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"provider": "anthropic", "priority": priority, "credentials": {"secretRef": {"name": name}}},
    })
}

impl Controller {
    /// With a history that leads nowhere.
    pub(crate) async fn start() -> Self {
        let (ingest, _) = ingest_into(&"host=/nowhere user=nobody".parse().unwrap());
        Self::with(ingest).await
    }

    pub(crate) async fn with(ingest: Ingest) -> Self {
        let objects = Objects { standalone: true, ..Objects::default() };
        Self::of(Identity::SharedToken(Secret::new(TOKEN)), objects, ingest, |grpc| grpc).await
    }

    pub(crate) async fn of(
        identity: Identity,
        objects: Objects,
        ingest: Ingest,
        adjust: impl FnOnce(Grpc) -> Grpc,
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let certificates = Certificates::open(data.path(), &[], Timestamp::now()).unwrap();
        Self::certified(identity, objects, ingest, adjust, data, certificates).await
    }

    pub(crate) async fn certified(
        identity: Identity,
        objects: Objects,
        ingest: Ingest,
        adjust: impl FnOnce(Grpc) -> Grpc,
        data: TempDir,
        certificates: Certificates,
    ) -> Self {
        let (objects, objects_rx) = watch::channel(Arc::new(objects));
        let (registry, metrics, stop) = (Registry::default(), Metrics::new(), CancellationToken::new());
        let clock = Arc::new(Timestamp::now);
        let (reconciler, work) =
            reconcile::channel(objects_rx, registry.clone(), clock, metrics.reconcile.clone());
        let grpc = Grpc::new(
            identity,
            registry.clone(),
            reconciler.clone(),
            ingest.clone(),
            metrics.grpc.clone(),
            stop.clone(),
        );
        let grpc = adjust(grpc);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = certificates.server_config().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(work.run(stop.clone()));
        tasks.spawn(async move { grpc.serve(listener, tls).await.unwrap() });
        Self { address, certificates, registry, reconciler, ingest, stop, tasks, objects, data }
    }

    pub(crate) fn ca_pem(&self) -> String {
        std::fs::read_to_string(self.data.path().join("ca.pem")).unwrap()
    }

    /// With a history that leads nowhere, and these certificates.
    pub(crate) async fn with_certificates(certificates: Certificates) -> Self {
        let (ingest, _) = ingest_into(&"host=/nowhere user=nobody".parse().unwrap());
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("ca.pem"), &**certificates.bundle().borrow()).unwrap();
        let identity = Identity::SharedToken(Secret::new(TOKEN));
        Self::certified(identity, Objects::default(), ingest, |grpc| grpc, data, certificates).await
    }

    /// Adds an account, or changes its priority.
    pub(crate) fn set_account(&self, name: &str, priority: u8) {
        self.objects.send_modify(|objects| {
            let objects = Arc::make_mut(objects);
            let object = serde_json::from_value(account(name, priority)).unwrap();
            objects.accounts.insert(id(name), Arc::new(object));
            let data = BTreeMap::from([("apiKey".to_owned(), Secret::new(format!("sk-{name}")))]);
            objects.secrets.insert(id(name), Arc::new(SecretObject { data, ..SecretObject::default() }));
        });
    }

    pub(crate) fn remove_account(&self, name: &str) {
        self.objects.send_modify(|objects| {
            Arc::make_mut(objects).accounts.remove(&id(name));
        });
    }

    pub(crate) async fn client(
        &self,
        ca_pem: &str,
    ) -> Result<ControlClient<Channel>, tonic::transport::Error> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address))?.tls_config(tls)?;
        Ok(ControlClient::new(endpoint.connect().await?))
    }

    /// Subscribes as a proxy that holds nothing.
    pub(crate) async fn subscribe(&self) -> Subscription {
        self.subscribe_holding(BTreeMap::new()).await
    }

    pub(crate) async fn subscribe_holding(&self, held: BTreeMap<ResourceKey, String>) -> Subscription {
        self.try_subscribe(TOKEN, held).await.unwrap()
    }

    pub(crate) async fn try_subscribe(
        &self,
        token: &str,
        held: BTreeMap<ResourceKey, String>,
    ) -> Result<Subscription, Status> {
        let proxy = ProxyIdentity { id: "proxy-1".into(), ..ProxyIdentity::default() };
        self.try_subscribe_as(&proxy, token, held).await
    }

    pub(crate) async fn try_subscribe_as(
        &self,
        proxy: &ProxyIdentity,
        token: &str,
        held: BTreeMap<ResourceKey, String>,
    ) -> Result<Subscription, Status> {
        let mut client = self.client(&self.ca_pem()).await.unwrap();
        let (say, said) = mpsc::channel(16);
        let hello = wire::subscribe_request::Message::Hello(wire::Hello::new(proxy, &held));
        say.send(wire::SubscribeRequest { message: Some(hello) }).await.unwrap();
        let pushes = client.subscribe(with_token(token, ReceiverStream::new(said))).await?.into_inner();
        Ok(Subscription { say, pushes, held })
    }

    pub(crate) async fn report(&self) -> Reporting {
        self.report_as(TOKEN).await
    }

    pub(crate) async fn report_as(&self, token: &str) -> Reporting {
        let mut client = self.client(&self.ca_pem()).await.unwrap();
        let (say, said) = mpsc::channel(16);
        let proxy = wire::report_request::Message::Proxy(wire::ProxyIdentity::default());
        say.send(wire::ReportRequest { message: Some(proxy) }).await.unwrap();
        let answers = client.report(with_token(token, ReceiverStream::new(said))).await.unwrap().into_inner();
        Reporting { say, answers }
    }

    /// Waits until a single proxy is connected and looks like this.
    pub(crate) async fn proxy(&self, wanted: impl Fn(&ConnectedProxy) -> bool) -> ConnectedProxy {
        let mut changes = self.registry.changes();
        loop {
            if let [proxy] = self.registry.list().as_slice()
                && wanted(proxy)
            {
                return proxy.clone();
            }
            changes.changed().await.unwrap();
        }
    }
}

/// Both ends of a history in this database.
pub(crate) fn ingest_into(database: &tokio_postgres::Config) -> (Ingest, Ingester) {
    ingest::channel(Store::new(database).unwrap(), Arc::new(|_| None))
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

impl Subscription {
    /// The next push, taken in as a proxy would.
    pub(crate) async fn push(&mut self) -> wire::Update {
        let response = self.pushes.message().await.unwrap().unwrap();
        let Some(wire::subscribe_response::Message::Update(update)) = response.message else { panic!() };
        for removed in &update.removed {
            self.held.remove(&removed.clone().into());
        }
        for changed in &update.changed {
            let key = ResourceKey { kind: changed.kind.into(), name: changed.name.clone() };
            self.held.insert(key, changed.version.clone());
        }
        update
    }

    /// The next push that changes something, acknowledged like those before it.
    pub(crate) async fn change(&mut self) -> wire::Update {
        loop {
            let update = self.push().await;
            self.ack(update.nonce).await;
            if !(update.changed.is_empty() && update.removed.is_empty()) {
                return update;
            }
        }
    }

    pub(crate) async fn ack(&self, nonce: u64) {
        self.say(wire::subscribe_request::Message::Ack(wire::Ack { nonce })).await;
    }

    pub(crate) async fn say(&self, message: wire::subscribe_request::Message) {
        self.say.send(wire::SubscribeRequest { message: Some(message) }).await.unwrap();
    }

    /// The status with which the stream ends.
    pub(crate) async fn end(&mut self) -> Option<Status> {
        loop {
            match self.pushes.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }
}
