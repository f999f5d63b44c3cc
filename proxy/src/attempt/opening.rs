//! The beginning of an answer, held back until it is clear that it is one: an error's body, or a stream's
//! events up to the one that commits. What is held back is later sent as it came.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use penstock_llm::commit::{Commit, CommitDetector};
use penstock_llm::encoding::Decoder;
use penstock_llm::error::ErrorFacts;
use penstock_llm::usage::Shape;
use penstock_proto::dialect::Dialect;
use tokio::time::{Instant, timeout_at};

use crate::head::ResponseHead;
use crate::upstream::{Response, ResponseBody, Stage, UpstreamError};

/// Most of an error body that is read before it is judged.
const MAX_ERROR: usize = 64 << 10;

/// Most of a stream's beginning that is held back, bytes, besides [`MAX_EVENTS`].
const MAX_HELD: usize = 256 << 10;

/// Most events of a stream that are held back.
const MAX_EVENTS: u32 = 16;

/// Most bytes that one chunk of a compressed stream may decode to while it is held back.
const MAX_DECODED: usize = 1 << 20;

/// What kind of answer is awaited.
pub(crate) struct Expect {
    /// The client's format; `None` = not known.
    pub(crate) dialect: Option<Dialect>,
    /// Whether the client asked for a stream.
    pub(crate) streaming: bool,
    /// How long to wait for the commit event, or for the rest of an error's body.
    pub(crate) commit_wait: Duration,
}

/// An answer that goes to the client: its head, what was held back of it, and the rest.
pub(crate) struct Accepted {
    pub(crate) head: ResponseHead,
    pub(crate) shape: Option<Shape>,
    pub(crate) held: Vec<Bytes>,
    pub(crate) rest: Rest,
}

/// What follows what was held back.
pub(crate) enum Rest {
    Body(ResponseBody),
    /// The body ended while it was held back.
    Ended,
    /// It broke while it was held back, and what there is of it is all that there will be.
    Broken(UpstreamError),
}

/// What there is of an answer when it is judged.
pub(super) enum Opened {
    /// It begins as it should.
    Answer(Accepted),
    /// A status of 400 or above, with what its body says.
    Error(Accepted, Box<ErrorFacts>),
    /// A stream whose first event that matters is an error.
    ErrorEvent(Accepted, Box<ErrorFacts>),
    /// There is none.
    Failed(UpstreamError),
}

impl Opened {
    /// What the provider, or the way to it, said; for logs.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Answer(_) => "",
            Self::Error(_, facts) | Self::ErrorEvent(_, facts) => {
                facts.code.as_deref().or(facts.kind.as_deref()).unwrap_or_default()
            }
            Self::Failed(error) => error.as_label(),
        }
    }
}

/// Reads as much of an answer as is needed to judge it.
pub(super) async fn open(response: Response, expect: &Expect) -> Opened {
    let Response { head, body } = response;
    let shape = shape(&head);
    let opening = Opening { held: Vec::new(), size: 0, body, deadline: Instant::now() + expect.commit_wait };
    if head.status.as_u16() >= 400 {
        return opening.error(head, shape).await;
    }
    if head.status == StatusCode::NO_CONTENT || head.status.is_redirection() {
        return Opened::Answer(opening.accept(head, shape, None));
    }
    match shape {
        Some(Shape::Stream) => opening.stream(head, expect).await,
        Some(Shape::Json) | None => opening.first_bytes(head, shape, expect).await,
    }
}

/// An answer being held back.
struct Opening {
    held: Vec<Bytes>,
    size: usize,
    body: ResponseBody,
    deadline: Instant,
}

impl Opening {
    /// Whatever an error's body says, as far as it comes in time.
    async fn error(mut self, head: ResponseHead, shape: Option<Shape>) -> Opened {
        let mut end = None;
        while self.size < MAX_ERROR {
            match timeout_at(self.deadline, self.body.next()).await {
                Ok(Some(Ok(bytes))) => self.hold(bytes),
                Ok(None) => end = Some(Rest::Ended),
                Ok(Some(Err(error))) => end = Some(Rest::Broken(error)),
                Err(_) => end = Some(Rest::Broken(UpstreamError::Timeout(Stage::Body))),
            }
            if end.is_some() {
                break;
            }
        }
        let facts = Box::new(ErrorFacts::parse(&readable(&head, &self.held)));
        Opened::Error(self.accept(head, shape, end), facts)
    }

    /// The events of a stream up to the one that commits.
    async fn stream(mut self, head: ResponseHead, expect: &Expect) -> Opened {
        const SHAPE: Option<Shape> = Some(Shape::Stream);
        let Ok(mut decoder) = decoder(&head) else {
            // What cannot be read cannot be judged.
            return Opened::Answer(self.accept(head, SHAPE, None));
        };
        let mut detector = CommitDetector::new(expect.dialect);
        self.held.iter().for_each(|bytes| watch(&mut detector, decoder.as_mut(), bytes));
        loop {
            let commit = detector.push(b"").clone();
            let full = detector.events() >= MAX_EVENTS || self.size >= MAX_HELD;
            match commit {
                Commit::Failed(facts) => return Opened::ErrorEvent(self.accept(head, SHAPE, None), facts),
                Commit::Pending if !full => {}
                Commit::Committed | Commit::Pending => return Opened::Answer(self.accept(head, SHAPE, None)),
            }
            match timeout_at(self.deadline, self.body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    watch(&mut detector, decoder.as_mut(), &bytes);
                    self.hold(bytes);
                }
                Ok(Some(Err(error))) => return Opened::Failed(error),
                Ok(None) => return self.ended(head, detector.finish()),
                // Long enough: what there is goes to the client.
                Err(_) => return Opened::Answer(self.accept(head, SHAPE, None)),
            }
        }
    }

    /// A stream that ended while it was held back.
    fn ended(self, head: ResponseHead, commit: &Commit) -> Opened {
        let ended = |opening: Self| opening.accept(head, Some(Shape::Stream), Some(Rest::Ended));
        match commit {
            Commit::Failed(facts) => Opened::ErrorEvent(ended(self), facts.clone()),
            Commit::Committed => Opened::Answer(ended(self)),
            // It ended before it answered.
            Commit::Pending => Opened::Failed(UpstreamError::Truncated),
        }
    }

    /// The first bytes of any other answer: one that breaks before them has said nothing yet. Without a
    /// content type they tell whether it is a stream.
    async fn first_bytes(mut self, head: ResponseHead, shape: Option<Shape>, expect: &Expect) -> Opened {
        let first = match self.body.next().await {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => return Opened::Failed(error),
            None => return Opened::Answer(self.accept(head, shape, Some(Rest::Ended))),
        };
        let sniffed = if head.headers.contains("content-type") { shape } else { Shape::sniff(&first) };
        self.hold(first);
        match sniffed {
            Some(Shape::Stream) => self.stream(head, expect).await,
            Some(Shape::Json) | None => Opened::Answer(self.accept(head, sniffed, None)),
        }
    }

    fn hold(&mut self, bytes: Bytes) {
        self.size += bytes.len();
        self.held.push(bytes);
    }

    fn accept(self, head: ResponseHead, shape: Option<Shape>, end: Option<Rest>) -> Accepted {
        Accepted { head, shape, held: self.held, rest: end.unwrap_or(Rest::Body(self.body)) }
    }
}

fn shape(head: &ResponseHead) -> Option<Shape> {
    Shape::of_content_type(head.headers.text("content-type")?)
}

fn decoder(head: &ResponseHead) -> Result<Option<Decoder>, ()> {
    match head.headers.get("content-encoding") {
        None => Ok(None),
        Some(encoding) => {
            std::str::from_utf8(encoding).ok().and_then(|name| Decoder::new(name).ok()).ok_or(())
        }
    }
}

fn watch(detector: &mut CommitDetector, decoder: Option<&mut Decoder>, bytes: &[u8]) {
    match decoder {
        None => {
            detector.push(bytes);
        }
        // What cannot be decoded is not held back for it: time or size end the waiting.
        Some(decoder) => {
            let _ = decoder.push(bytes, MAX_DECODED, |piece| {
                detector.push(piece);
            });
        }
    }
}

/// An error body without its content encoding, as far as it can be decoded.
fn readable(head: &ResponseHead, pieces: &[Bytes]) -> Vec<u8> {
    let body = pieces.concat();
    let Ok(Some(mut decoder)) = decoder(head) else { return body };
    let mut plain = Vec::new();
    // What was decoded before the damage or the limit is enough.
    let _ = decoder.push(&body, MAX_ERROR, |piece| plain.extend_from_slice(piece));
    plain
}
