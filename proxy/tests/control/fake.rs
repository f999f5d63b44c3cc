//! A controller whose every word is the test's.

use std::net::SocketAddr;
use std::pin::Pin;

use penstock_proto::wire::control_server::{Control, ControlServer};
use penstock_proto::wire::{
    ReportRequest, ReportResponse, SubscribeRequest, SubscribeResponse, Update, report_response,
    subscribe_response,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// One open stream of either kind, seen from the controller. Dropping it ends it.
pub(crate) struct Open<Q, A> {
    pub(crate) authorization: String,
    pub(crate) asks: Streaming<Q>,
    answers: mpsc::UnboundedSender<Result<A, Status>>,
}

pub(crate) type Subscription = Open<SubscribeRequest, SubscribeResponse>;
pub(crate) type Reporting = Open<ReportRequest, ReportResponse>;

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: String,
    pub(crate) subscriptions: mpsc::UnboundedReceiver<Subscription>,
    pub(crate) reportings: mpsc::UnboundedReceiver<Reporting>,
    _serving: JoinSet<()>,
}

struct Service {
    subscriptions: mpsc::UnboundedSender<Subscription>,
    reportings: mpsc::UnboundedSender<Reporting>,
}

type Answers<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

impl Fake {
    pub(crate) async fn start() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert.pem(), key.serialize_pem()));

        let (subscriptions, subscriptions_rx) = mpsc::unbounded_channel();
        let (reportings, reportings_rx) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = ControlServer::new(Service { subscriptions, reportings });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let server = Server::builder().tls_config(tls).unwrap().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self {
            address,
            ca_pem: ca.pem(),
            subscriptions: subscriptions_rx,
            reportings: reportings_rx,
            _serving: serving,
        }
    }

    pub(crate) async fn subscription(&mut self) -> Subscription {
        self.subscriptions.recv().await.unwrap()
    }

    /// The next reporting stream, introduced.
    pub(crate) async fn reporting(&mut self) -> Reporting {
        let mut reporting = self.reportings.recv().await.unwrap();
        reporting.hear().await;
        reporting
    }
}

impl<Q, A> Open<Q, A> {
    pub(crate) async fn hear(&mut self) -> Q {
        self.asks.message().await.unwrap().unwrap()
    }

    /// Ends it as a controller does that breaks down.
    pub(crate) fn break_off(self) {
        self.answers.send(Err(Status::unavailable("broken off"))).unwrap();
    }
}

impl Subscription {
    pub(crate) fn push(&self, update: Update) {
        let message = Some(subscribe_response::Message::Update(update));
        self.answers.send(Ok(SubscribeResponse { message })).unwrap();
    }
}

impl Reporting {
    pub(crate) fn answer(&self, message: report_response::Message) {
        self.answers.send(Ok(ReportResponse { message: Some(message) })).unwrap();
    }
}

fn open<Q, A>(to: &mpsc::UnboundedSender<Open<Q, A>>, request: Request<Streaming<Q>>) -> Response<Answers<A>>
where
    A: Send + 'static,
{
    let authorization = request.metadata().get("authorization");
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let (answers, answered) = mpsc::unbounded_channel();
    // A test that is over hears nothing more.
    let _ = to.send(Open { authorization, asks: request.into_inner(), answers });
    Response::new(Box::pin(UnboundedReceiverStream::new(answered)))
}

#[tonic::async_trait]
impl Control for Service {
    type SubscribeStream = Answers<SubscribeResponse>;
    type ReportStream = Answers<ReportResponse>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Ok(open(&self.subscriptions, request))
    }

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        Ok(open(&self.reportings, request))
    }
}
