//! Reports to a controller that runs as a process of its own.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use penstock_proto::event::{Ending, Event};
use penstock_proto::peer::ProxyIdentity;
use penstock_proto::usage::{Usage, UsageSource};
use penstock_proto::wire;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};
use uuid::Uuid;
use wire::control_client::ControlClient;
use wire::report_request::Message as Report;
use wire::report_response::Message as Answer;

/// A request that ended now.
pub(crate) fn event() -> Event {
    let now = Timestamp::now();
    Event {
        first_byte_at: Some(now),
        method: "POST".into(),
        path: "/v1/messages".into(),
        provider: "anthropic".into(),
        model_sent: "claude-sonnet-4-5".into(),
        status: 200,
        ending: Ending::Complete,
        stream: true,
        usage: Usage { input_tokens: 1_000, output_tokens: 100, ..Usage::default() },
        usage_source: UsageSource::Reported,
        ..Event::new(Uuid::now_v7(), now)
    }
}

/// Connected as this proxy for as long as it is kept.
pub(crate) async fn subscribe(grpc: &str, data: &Path, id: &str) -> impl Sized + use<> {
    let (say, said) = mpsc::channel(64);
    let proxy = ProxyIdentity { id: id.to_owned(), ..ProxyIdentity::default() };
    let hello = wire::subscribe_request::Message::Hello(wire::Hello::new(&proxy, &BTreeMap::new()));
    say.send(wire::SubscribeRequest { message: Some(hello) }).await.unwrap();
    let pushes = client(grpc, data).await.unwrap().subscribe(request(data, said)).await.unwrap();
    (say, pushes)
}

async fn client(grpc: &str, data: &Path) -> Option<ControlClient<Channel>> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(data, "ca.pem")));
    let endpoint = Endpoint::from_shared(format!("https://{grpc}")).unwrap().tls_config(tls).unwrap();
    Some(ControlClient::new(endpoint.connect().await.ok()?))
}

fn request<T>(data: &Path, said: mpsc::Receiver<T>) -> Request<ReceiverStream<T>> {
    let mut request = Request::new(ReceiverStream::new(said));
    let token = format!("Bearer {}", read(data, "proxy-token").trim());
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    request
}

fn read(data: &Path, name: &str) -> String {
    std::fs::read_to_string(data.join(name)).unwrap()
}

/// A stream of reports to a controller that is just starting or about to die.
pub(crate) struct Reporting {
    say: mpsc::Sender<wire::ReportRequest>,
    answers: Streaming<wire::ReportResponse>,
}

impl Reporting {
    pub(crate) async fn open(grpc: &str, data: &Path) -> Self {
        Self::try_open(grpc, data).await.unwrap()
    }

    /// `None` where there is no controller.
    pub(crate) async fn try_open(grpc: &str, data: &Path) -> Option<Self> {
        let (say, said) = mpsc::channel(64);
        let proxy = Some(Report::Proxy(wire::ProxyIdentity::default()));
        say.send(wire::ReportRequest { message: proxy }).await.unwrap();
        let mut client = client(grpc, data).await?;
        let answers = client.report(request(data, said)).await.ok()?.into_inner();
        Some(Self { say, answers })
    }

    pub(crate) async fn send(&self, batch_id: u64, events: &[Event]) {
        let events = events.iter().map(|event| event.to_bytes().into()).collect();
        let message = Some(Report::Events(wire::EventBatch { batch_id, events }));
        // A controller that has died hears nothing.
        let _ = self.say.send(wire::ReportRequest { message }).await;
    }

    /// The next answer: a batch that was stored (`Ok`) or must be sent again (`Err`); `None` once the stream
    /// is broken.
    pub(crate) async fn answer(&mut self) -> Option<Result<u64, u64>> {
        match self.answers.message().await.ok()??.message? {
            Answer::Stored(stored) => Some(Ok(stored.batch_id)),
            Answer::Busy(busy) => Some(Err(busy.batch_id)),
        }
    }

    /// The next batch that was stored; `None` once the stream is broken.
    pub(crate) async fn stored(&mut self) -> Option<u64> {
        let answer = self.answer().await?;
        Some(answer.unwrap_or_else(|batch| panic!("the queue is long enough for batch {batch}")))
    }
}
