//! Stages 8 and 9: the provider's answer on its way to the client, byte for byte, with a tap that watches.
//! Owns the upstream body: dropping it (the client left) closes the provider's connection at once.
//! Reads only when the client takes, so a slow reader slows its provider and nothing piles up.
//!
//! No keep-alives are added: passed-through bytes stay the provider's own, and providers send their pings.

use std::task::{Context, Poll, ready};
use std::vec;

use bytes::Bytes;
use http::{Method, StatusCode};
use penstock_llm::phrase::{Problem, ProblemKind, stream_error};
use penstock_llm::usage::{Endpoint, Finish, Reading, Shape, Tap};
use penstock_proto::dialect::Dialect;
use penstock_proxy_core::event::Sent;
use penstock_proxy_core::headers::{Headers, to_client};
use penstock_proxy_core::route::Operation;

use crate::attempt::{Accepted, Rest};
use crate::completion::Completion;
use crate::head::{RequestHead, Response, ResponseHead};
use crate::respond::Answer;
use crate::upstream::{Stage, UpstreamError};

const ACCOUNT: &str = "x-penstock-account";
const ATTEMPTS: &str = "x-penstock-attempts";

/// Asks for [`ACCOUNT`] and [`ATTEMPTS`] on the answer.
const DEBUG: &str = "x-penstock-debug";

/// What a relay has to know of the request.
pub(crate) struct Asked {
    pub(crate) dialect: Option<Dialect>,
    pub(crate) operation: Operation,
}

/// An answer that could not be relayed to its end. The connection to the client is cut, so that a part
/// cannot look like the whole.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub struct BrokenAnswer(#[source] UpstreamError);

/// A provider's body on its way to the client.
pub struct Relay {
    held: vec::IntoIter<Bytes>,
    rest: Rest,
    dialect: Option<Dialect>,
    /// Whether the answer is one whose end can be told from its content.
    has_an_end: bool,
    tap: Tap,
    /// Bytes still to come, where the provider said how many.
    remaining: Option<u64>,
    /// Gone when the end was reached.
    completion: Option<Completion>,
}

/// Starts the relay: the head, and a body that is read as the client takes it.
pub(crate) fn relay(
    accepted: Accepted,
    head: &RequestHead,
    asked: &Asked,
    mut completion: Completion,
) -> Response<Answer> {
    let Accepted { head: mut answer, shape, held, rest } = accepted;
    let endpoint = endpoint(asked.operation);
    let tap = tap(&answer, shape, asked, endpoint);
    to_client(&mut answer.headers);
    if shape == Some(Shape::Stream) {
        // An error event may have to follow.
        answer.headers.remove("content-length");
    }
    let remaining = answer.headers.text("content-length").and_then(|length| length.parse().ok());
    completion.sign(&mut answer.headers);
    if head.headers.contains(DEBUG) {
        say_who_served(&mut answer.headers, &completion);
    }
    completion.answered(answer.status);
    let mut relay = Relay {
        held: held.into_iter(),
        rest,
        dialect: asked.dialect,
        has_an_end: endpoint == Endpoint::Create,
        tap,
        remaining,
        completion: Some(completion),
    };
    let bodiless = head.method == Method::HEAD
        || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || remaining == Some(0) {
        relay.finish(Sent::Relayed, Reading::default());
        return Response { head: answer, body: Answer::empty() };
    }
    Response { head: answer, body: Answer::Relay(Box::new(relay)) }
}

/// Watches what a provider answers; an error's body is not an answer of a model.
fn tap(answer: &ResponseHead, shape: Option<Shape>, asked: &Asked, endpoint: Endpoint) -> Tap {
    let tap = Tap::new(asked.dialect.filter(|_| answer.status.is_success()), shape, endpoint);
    match answer.headers.get("content-encoding") {
        None => tap,
        Some(encoding) => tap.with_encoding(std::str::from_utf8(encoding).unwrap_or("unreadable")),
    }
}

fn endpoint(operation: Operation) -> Endpoint {
    match operation {
        Operation::Messages
        | Operation::ChatCompletions
        | Operation::Responses
        | Operation::Compact
        | Operation::Embeddings => Endpoint::Create,
        Operation::CountTokens | Operation::Models | Operation::Other => Endpoint::Other,
    }
}

fn say_who_served(headers: &mut Headers, completion: &Completion) {
    let Some((candidate, attempts)) = completion.served_by() else { return };
    headers.insert(ACCOUNT, candidate.account.id.as_str());
    headers.insert(ATTEMPTS, &attempts.to_string());
}

impl Relay {
    /// Bytes still to come, where the provider said how many.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// Whether there is nothing more to come.
    pub(crate) fn is_done(&self) -> bool {
        self.completion.is_none()
    }

    /// The next piece; `Ready(None)` at the end.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenAnswer>>> {
        if self.completion.is_none() {
            return Poll::Ready(None);
        }
        if let Some(bytes) = self.held.next() {
            return Poll::Ready(Some(Ok(self.pass(bytes))));
        }
        let next = match &mut self.rest {
            Rest::Body(body) => ready!(body.poll_bytes(cx)),
            Rest::Ended => None,
            Rest::Broken(_) => match std::mem::replace(&mut self.rest, Rest::Ended) {
                Rest::Broken(error) => Some(Err(error)),
                Rest::Body(_) | Rest::Ended => None,
            },
        };
        Poll::Ready(match next {
            Some(Ok(bytes)) => Some(Ok(self.pass(bytes))),
            Some(Err(error)) => Some(self.broke(error)),
            None => self.ended(),
        })
    }

    fn pass(&mut self, bytes: Bytes) -> Bytes {
        self.tap.push(&bytes);
        let length = bytes.len() as u64;
        if let Some(completion) = &mut self.completion {
            completion.gathered().response_bytes += length;
            if let Some(limits) = self.tap.take_codex_limits() {
                completion.limits_told(&limits);
            }
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(length);
            // The connection asks no further once it has all bytes it was promised.
            if *remaining == 0 {
                let reading = self.tap.reading();
                self.finish(Sent::Relayed, reading);
            }
        }
        bytes
    }

    /// The provider ended its body properly: was it the whole answer?
    fn ended(&mut self) -> Option<Result<Bytes, BrokenAnswer>> {
        self.tap.finish();
        let reading = self.tap.reading();
        match reading.finish {
            // A stream without its last event, or JSON that is not closed.
            Finish::Open if self.has_an_end && !self.tap.is_blind() => {
                return Some(self.broke(UpstreamError::Truncated));
            }
            Finish::Errored => self.finish(Sent::ErrorInStream, reading),
            Finish::Open | Finish::Terminal => self.finish(Sent::Relayed, reading),
        }
        None
    }

    /// The provider's body broke: a stream says so in an event, anything else is cut off.
    fn broke(&mut self, error: UpstreamError) -> Result<Bytes, BrokenAnswer> {
        let reading = self.tap.reading();
        let sent = match reading.finish {
            Finish::Open => Sent::Truncated,
            // Everything that counts has arrived; only the transport's own end is missing.
            Finish::Terminal => Sent::Relayed,
            Finish::Errored => Sent::ErrorInStream,
        };
        if sent != Sent::Truncated {
            self.finish(sent, reading);
            return Ok(Bytes::new());
        }
        let tail = self.tap.tail();
        let problem = problem(&error, self.completion.as_ref());
        if let Some(completion) = &mut self.completion {
            completion.gathered().error.clone_from(&problem.message);
        }
        self.finish(sent, reading);
        match tail {
            Some(tail) => Ok(stream_error(self.dialect, &problem, &tail)),
            None => Err(BrokenAnswer(error)),
        }
    }

    fn finish(&mut self, sent: Sent, reading: Reading) {
        self.rest = Rest::Ended;
        if let Some(mut completion) = self.completion.take() {
            completion.read(reading);
            completion.finish(sent);
        }
    }
}

impl Drop for Relay {
    /// The client left: what was read until now counts.
    fn drop(&mut self) {
        if let Some(completion) = &mut self.completion {
            completion.read(self.tap.reading());
        }
    }
}

fn problem(error: &UpstreamError, completion: Option<&Completion>) -> Problem {
    let (kind, message) = match error {
        UpstreamError::Timeout(Stage::Connect | Stage::Head | Stage::Body) => {
            (ProblemKind::Timeout, "The provider stopped sending before the answer was complete.")
        }
        _ => (ProblemKind::BadGateway, "The provider's stream broke off before the answer was complete."),
    };
    Problem {
        request_id: completion.map(|completion| completion.id().to_string()),
        ..Problem::new(kind, message)
    }
}
