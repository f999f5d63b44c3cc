//! A provider whose every byte is the test's.

use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Listens, and answers every request as its script says.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
    _serving: JoinSet<()>,
}

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Resolves when the proxy closed the connection while it was answered.
    pub(crate) gone: Option<oneshot::Receiver<()>>,
}

/// One step of an answer.
pub(crate) enum Do {
    Send(Vec<u8>),
    /// Until somebody notifies.
    Wait(Arc<Notify>),
    /// Until the proxy closes the connection.
    WaitForClose,
    /// Chunks of comments, without end; counts the bytes that were taken.
    Flood(watch::Sender<usize>),
    Close,
    Reset,
}

/// Bytes of one chunk of [`Do::Flood`].
const FLOOD: usize = 64 << 10;

/// A place where every connection is refused. Its port is held: a port that was only free a moment ago may be given
/// to the next who asks for one, even to the proxy that is to be refused there.
pub(crate) struct Nowhere {
    _held: Socket,
    pub(crate) address: SocketAddr,
}

type Script = dyn Fn(&Seen) -> Vec<Do> + Send + Sync;

impl Seen {
    /// Every value of a header, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(held, _)| held.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }
}

impl Provider {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Vec<Do> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (report, seen) = mpsc::unbounded_channel();
        let script: Arc<Script> = Arc::new(script);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&script), report.clone()));
            }
        });
        Self { address, seen, _serving: serving }
    }

    /// Always the same answer.
    pub(crate) async fn always(answer: fn() -> Vec<Do>) -> Self {
        Self::start(move |_| answer()).await
    }

    /// The next request that arrived.
    pub(crate) async fn request(&mut self) -> Seen {
        self.seen.recv().await.unwrap()
    }

    /// How many requests arrived that were not taken by [`Provider::request`].
    pub(crate) fn waiting(&self) -> usize {
        self.seen.len()
    }
}

impl Nowhere {
    /// Bound, and never listening.
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { _held: socket, address }
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, report: mpsc::UnboundedSender<Seen>) {
    let mut buffer = Vec::new();
    while let Some(mut seen) = read_request(&mut stream, &mut buffer).await {
        let steps = script(&seen);
        let (left, gone) = oneshot::channel();
        seen.gone = Some(gone);
        let _ = report.send(seen);
        for step in steps {
            match step {
                Do::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        let _ = left.send(());
                        return;
                    }
                }
                Do::Wait(until) => until.notified().await,
                Do::WaitForClose => {
                    // The end of the stream or a reset: both are a close.
                    let mut byte = [0];
                    let _ = stream.read(&mut byte).await;
                    let _ = left.send(());
                    return;
                }
                Do::Flood(taken) => {
                    let comment = format!("{FLOOD:x}\r\n:{}\n\r\n", "x".repeat(FLOOD - 2));
                    while stream.write_all(comment.as_bytes()).await.is_ok() {
                        taken.send_modify(|taken| *taken += comment.len());
                    }
                    let _ = left.send(());
                    return;
                }
                Do::Close => return,
                Do::Reset => {
                    let _ = stream.set_zero_linger();
                    return;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut seen = Seen { method, target, headers, body: Vec::new(), gone: None };
    let length = seen.values("content-length").first().map_or(0, |length| length.parse().unwrap());
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Some(seen)
}

/// A whole answer with a length.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<Do> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    vec![Do::Send([head.as_bytes(), body].concat())]
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: &str) -> Vec<Do> {
    reply(status, &[("content-type", "application/json")], body)
}

/// A chunk of a chunked body.
pub(crate) fn chunk(data: &str) -> Do {
    Do::Send(format!("{:x}\r\n{data}\r\n", data.len()).into_bytes())
}

/// The head of a stream of events.
pub(crate) fn chunked() -> Do {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    Do::Send(head.as_bytes().to_vec())
}
