//! A request's way: head, body, decision, answer. The only place that waits for time on its behalf.

use std::{io::Read, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{InFlight, credential},
    faults::Break,
    journal::{Ending, Pen},
    playback::Playback,
    reply::{Content, Reply, put},
    respond::{Decision, Heard, decide},
    route::route,
    state::State,
};

/// A body that decodes to more is refused.
const LARGEST_DECODED: u64 = 128 << 20;

/// Answers one request. `reset` resets its connection.
pub(crate) async fn serve(
    state: &State,
    reset: CancellationToken,
    request: Request<Incoming>,
) -> Response<Playback> {
    let now = Timestamp::now();
    let (head, body) = request.into_parts();
    let route = route(&head.method, head.uri.path(), &head.headers);
    let credential = credential(&head.headers);
    let pen = state.journal.open(&head, &route.path, credential, now);
    let in_flight = (!credential.is_empty()).then(|| state.accounts.enter(credential)).flatten();
    let Some(body) = receive(body, &pen).await else {
        // Nobody is there to read this; dropping the pen says so.
        return Response::new(Playback::new(Arc::new([]), Some(Break::Close), reset));
    };
    let decoded = decode(&head.headers, &body);
    let whole = Heard {
        method: &head.method,
        headers: &head.headers,
        route: &route,
        credential,
        known: in_flight.is_some(),
        body: decoded.as_deref().map_err(|reason| *reason),
        now: Timestamp::now(),
    };
    let decision = decide(state, &whole);
    let gzip = state.behaviour.lock().gzip && accepts_gzip(&head.headers);
    answer(decision, gzip, reset, pen, in_flight).await
}

async fn answer(
    decision: Decision,
    gzip: bool,
    reset: CancellationToken,
    mut pen: Pen,
    in_flight: Option<InFlight>,
) -> Response<Playback> {
    let Decision { reply, breaks, cause, request_id, model, stream, .. } = decision;
    pen.write(|entry| {
        (entry.cause, entry.stream) = (cause, stream);
        entry.model = Some(model).filter(|model| !model.is_empty());
    });
    wait(decision.first_byte_delay_ms).await;
    let Some(mut reply) = reply else {
        if breaks == Some(Break::Reset) {
            pen.end(Ending::Broken);
            reset.cancel();
        }
        return std::future::pending().await;
    };
    if gzip && breaks.is_none() {
        compress(&mut reply);
    }
    pen.write(|entry| {
        (entry.status, entry.answered_at) = (Some(reply.status.as_u16()), Some(Timestamp::now()));
        entry.request_id = Some(request_id);
    });
    let frames: Arc<[Bytes]> = match reply.content {
        Content::Whole(body) => [body].into(),
        Content::Events(events) => events.into(),
    };
    let playback = Playback::new(frames, breaks, reset)
        .paced(Duration::from_millis(decision.event_delay_ms))
        .recorded(pen, in_flight);
    let mut response = Response::new(playback);
    (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
    response
}

/// Reads the body to its end; `None` if the client leaves before it.
async fn receive(mut body: Incoming, pen: &Pen) -> Option<Bytes> {
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            pen.body(&received.freeze(), false);
            return None;
        };
        received.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
    }
    let received = received.freeze();
    pen.body(&received, true);
    Some(received)
}

async fn wait(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

fn decode(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, &'static str> {
    match headers.get("content-encoding").map(http::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(body.clone()),
        Some(b"gzip") => {
            let mut decoded = Vec::new();
            let read = MultiGzDecoder::new(&body[..]).take(LARGEST_DECODED).read_to_end(&mut decoded);
            read.map(|_| decoded.into()).map_err(|_| "The request body could not be decoded as gzip.")
        }
        Some(_) => Err("The content encoding of the request body is not supported."),
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all("accept-encoding").iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| coding.trim().starts_with("gzip"))
}

/// Compresses a body; a stream is flushed after every event, so that each can be read when it arrives.
fn compress(reply: &mut Reply) {
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut step = |bytes: &Bytes| -> std::io::Result<Bytes> {
        encoder.write_all(bytes)?;
        encoder.flush()?;
        Ok(std::mem::take(encoder.get_mut()).into())
    };
    let compressed = match &reply.content {
        Content::Whole(body) => step(body).map(|body| vec![body]),
        Content::Events(events) => events.iter().map(step).collect(),
    };
    // Writing into memory does not fail; if it did, the answer would stay as it is.
    let (Ok(mut frames), Ok(end)) = (compressed, encoder.finish()) else { return };
    if let Some(last) = frames.last_mut() {
        *last = [&last[..], &end].concat().into();
    }
    reply.content = match &reply.content {
        Content::Whole(_) => Content::Whole(frames.concat().into()),
        Content::Events(_) => Content::Events(frames),
    };
    put(&mut reply.headers, "content-encoding", "gzip");
    put(&mut reply.headers, "vary", "accept-encoding");
}
