//! Stage 4: the request's body, whole and in one piece, and what it asks for.
//! Never changes a byte of it: a renamed model is spliced in when it is sent.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use penstock_llm::encoding::decode_body;
use penstock_llm::request::{Asked, scan};
use penstock_llm::splice::splice;
use penstock_proxy_core::headers::Headers;
use penstock_proxy_core::route::{Operation, Route};
use tokio::time::timeout;

use crate::alarm::{Alarm, Patience};
use crate::respond::Refusal;

mod incoming;

pub(crate) use incoming::Incoming;

/// What is allocated for a body whose length is announced, at most; beyond it the buffer grows with what
/// really arrives.
const TRUSTED_LENGTH: u64 = 1 << 20;

/// A body that is too large is read on for this long, and thrown away, so that the client reads the
/// answer instead of a reset connection.
const THROW_AWAY: Duration = Duration::from_secs(5);

/// A request's body, read and understood.
pub(crate) struct RequestBody {
    /// As received.
    received: Bytes,
    /// Without its content encoding; `None` = it has none.
    decoded: Option<Bytes>,
    /// What it asks for.
    pub(crate) asked: Asked,
}

/// How much of a body is read, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Largest body, bytes.
    pub(crate) largest: u64,
    /// Longest gap between two pieces.
    pub(crate) progress: Duration,
    /// The client waits for our word before it sends: a body that is too large is never asked for.
    pub(crate) announced_first: bool,
}

/// Reads the whole body. `progress` limits the gaps, not the total, so a slow upload is served.
pub(crate) async fn collect(mut incoming: Incoming, limits: Limits) -> Result<Bytes, Refusal> {
    let Limits { largest, progress, announced_first } = limits;
    let announced = incoming.announced();
    if announced.is_some_and(|length| length > largest) {
        if !announced_first {
            throw_away(&mut incoming, largest).await;
        }
        return Err(Refusal::TooLarge { largest });
    }
    let incoming = match incoming {
        // Most bodies arrive with their head: no copy.
        Incoming::Whole(all) => return Ok(all),
        ref mut rest => rest,
    };
    let capacity = usize::try_from(announced.unwrap_or(0).min(TRUSTED_LENGTH)).unwrap_or(0);
    let mut body = BytesMut::with_capacity(capacity);
    let mut wait = (Patience::new(progress), Alarm::default());
    while poll_fn(|cx| poll_within(&mut wait, incoming, &mut body, cx)).await? {
        if body.len() as u64 > largest {
            drop(body);
            throw_away(incoming, largest).await;
            return Err(Refusal::TooLarge { largest });
        }
    }
    Ok(body.freeze())
}

/// What comes next, in time.
fn poll_within(
    (patience, alarm): &mut (Patience, Alarm),
    incoming: &mut Incoming,
    body: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<Result<bool, Refusal>> {
    if let Poll::Ready(more) = incoming.poll_into(body, cx) {
        patience.stop();
        return Poll::Ready(more);
    }
    ready!(patience.poll_expired(alarm, cx));
    Poll::Ready(Err(Refusal::SlowBody))
}

async fn throw_away(incoming: &mut Incoming, most: u64) {
    let read = async {
        let mut thrown = 0;
        while let Ok(Some(piece)) = poll_fn(|cx| incoming.poll_piece(cx)).await {
            thrown += piece.len() as u64;
            if thrown > most {
                return;
            }
        }
    };
    let _ = timeout(THROW_AWAY, read).await;
}

/// Finds what a body asks for. Only a body that a provider would have to understand is refused.
pub(crate) fn parse(
    route: &Route,
    headers: &Headers,
    received: Bytes,
    largest: u64,
) -> Result<RequestBody, Refusal> {
    let must_parse = match route.operation {
        Operation::Messages
        | Operation::CountTokens
        | Operation::ChatCompletions
        | Operation::Responses
        | Operation::Compact
        | Operation::Embeddings => !received.is_empty(),
        Operation::Models | Operation::Other => false,
    };
    let decoded = match headers.get("content-encoding") {
        None => None,
        Some(encoding) => {
            let cap = usize::try_from(largest).unwrap_or(usize::MAX);
            let encoding = std::str::from_utf8(encoding).unwrap_or("unreadable");
            match decode_body(encoding, &received, cap) {
                Ok(decoded) => Some(decoded),
                Err(_) if !must_parse => None,
                Err(error) => return Err(Refusal::Encoding(error)),
            }
        }
    };
    let asked = match scan(route.dialect, decoded.as_ref().unwrap_or(&received)) {
        Ok(asked) => asked,
        Err(error) if must_parse => return Err(Refusal::NotJson(error)),
        Err(_) => Asked::default(),
    };
    Ok(RequestBody { received, decoded, asked })
}

impl RequestBody {
    /// The readable bytes.
    pub(crate) fn readable(&self) -> &Bytes {
        self.decoded.as_ref().unwrap_or(&self.received)
    }

    /// The model asked for; empty = none.
    pub(crate) fn model(&self) -> &str {
        self.asked.model.as_ref().map_or("", |model| &model.value)
    }

    /// Size as received, bytes.
    pub(crate) fn size(&self) -> u64 {
        self.received.len() as u64
    }

    /// What to send for `model`, and whether it still has the client's content encoding.
    pub(crate) fn segments(&self, model: &str) -> (Vec<Bytes>, bool) {
        match &self.asked.model {
            Some(span) if !model.is_empty() && span.value != model => {
                (splice(self.readable(), span, model), self.decoded.is_none())
            }
            _ => (vec![self.received.clone()], true),
        }
    }
}

#[cfg(test)]
mod tests {
    use penstock_proto::dialect::Dialect;
    use penstock_proxy_core::route::Selector;

    use super::*;

    fn parsed(body: &'static str, operation: Operation) -> Result<RequestBody, Refusal> {
        let route = Route {
            dialect: Some(Dialect::AnthropicMessages),
            operation,
            selector: Selector::ByModel,
            path: "/v1/messages".into(),
        };
        parse(&route, &Headers::default(), Bytes::from_static(body.as_bytes()), 1 << 20)
    }

    #[test]
    fn a_body_is_sent_as_received_unless_the_model_is_another() {
        let body = parsed(r#"{"model": "a", "x": 1.0}"#, Operation::Messages).unwrap();
        let sent = |model: &str| body.segments(model).0.concat();
        assert_eq!(sent("a"), br#"{"model": "a", "x": 1.0}"#);
        assert_eq!(sent(""), br#"{"model": "a", "x": 1.0}"#);
        assert_eq!(sent("longer"), br#"{"model": "longer", "x": 1.0}"#);
    }

    #[test]
    fn only_a_body_that_has_to_be_understood_is_refused() {
        assert!(matches!(parsed("not json", Operation::Messages), Err(Refusal::NotJson(_))));
        assert!(parsed("not json", Operation::Other).is_ok());
        assert!(parsed("", Operation::Messages).is_ok());
    }
}
