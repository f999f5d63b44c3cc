//! The short way for benchmarks: reads a request to its end and answers from what was prepared at start.
//! The bytes and headers are those the long way would send to `You said: hi.`; nothing is written down.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::Timestamp;
use memchr::memmem::Finder;
use tokio_util::sync::CancellationToken;

use crate::{
    playback::Playback,
    reply::Content,
    respond::{Heard, decide},
    route::{Operation, Route, route},
    state::State,
};

/// What a body of a request for a stream holds.
const STREAM: &[u8] = br#""stream":true"#;

/// Answers by operation, whole and streamed.
#[derive(Debug)]
pub(crate) struct Prepared {
    state: State,
    answers: Vec<(Route, bool, Canned)>,
    delay: Duration,
    first_byte_delay: Duration,
}

#[derive(Debug, Clone)]
struct Canned {
    status: StatusCode,
    headers: HeaderMap,
    frames: Arc<[Bytes]>,
}

impl Prepared {
    /// Prepares every kind of answer.
    pub(crate) fn new(state: State) -> Self {
        let behaviour = *state.behaviour.lock();
        let mut prepared = Self {
            state,
            answers: Vec::new(),
            delay: Duration::from_millis(behaviour.event_delay_ms),
            first_byte_delay: Duration::from_millis(behaviour.first_byte_delay_ms),
        };
        for path in ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/codex/responses"] {
            let route = route(&Method::POST, path, &HeaderMap::new());
            for stream in [false, true] {
                let canned = prepared.make(&route, stream);
                prepared.answers.push((route.clone(), stream, canned));
            }
        }
        prepared
    }

    /// Answers a request after reading all of it.
    pub(crate) async fn answer(
        &self,
        reset: CancellationToken,
        request: Request<Incoming>,
    ) -> Response<Playback> {
        let (head, body) = request.into_parts();
        let route = route(&head.method, head.uri.path(), &head.headers);
        let stream = receive(body).await;
        let found = self.answers.iter().find(|(known, streams, _)| {
            *streams == stream && (known.dialect, &known.operation) == (route.dialect, &route.operation)
        });
        let canned = match found {
            Some((_, _, canned)) => canned.clone(),
            None => self.make(&route, stream),
        };
        if !self.first_byte_delay.is_zero() {
            tokio::time::sleep(self.first_byte_delay).await;
        }
        let mut response = Response::new(Playback::new(canned.frames, None, reset).paced(self.delay));
        (*response.status_mut(), *response.headers_mut()) = (canned.status, canned.headers);
        response
    }

    fn make(&self, route: &Route, stream: bool) -> Canned {
        let body = match route.operation {
            Operation::Responses => format!(
                r#"{{"model":"gpt-5","instructions":"","input":[{{"role":"user","content":"hi"}}],"store":false,"stream":{stream}}}"#
            ),
            _ => format!(
                r#"{{"model":"claude-sonnet-5","max_tokens":64,"messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#
            ),
        };
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static("2023-06-01"),
        )]);
        let heard = Heard {
            method: &Method::POST,
            headers: &headers,
            route,
            credential: "sk-bench",
            known: true,
            body: Ok(body.as_bytes()),
            now: Timestamp::now(),
        };
        let reply = decide(&self.state, &heard).reply.expect("without faults there is an answer");
        let frames: Arc<[Bytes]> = match reply.content {
            Content::Whole(body) => [body].into(),
            Content::Events(events) => events.into(),
        };
        Canned { status: reply.status, headers: reply.headers, frames }
    }
}

/// Reads to the end; whether a stream is asked for.
async fn receive(mut body: Incoming) -> bool {
    const SHORT: usize = STREAM.len() - 1;
    let finder = Finder::new(STREAM);
    // The end of what came before, and the beginning of what comes, for a match that straddles both.
    let mut seam = Vec::with_capacity(2 * SHORT);
    let mut found = false;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref().filter(|_| !found) else { continue };
        seam.extend_from_slice(&data[..data.len().min(SHORT)]);
        found = finder.find(&seam).is_some() || finder.find(data).is_some();
        if data.len() >= SHORT {
            seam.clear();
            seam.extend_from_slice(&data[data.len() - SHORT..]);
        } else {
            seam.drain(..seam.len().saturating_sub(SHORT));
        }
    }
    found
}
