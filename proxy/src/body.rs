//! Stage 4: the request's body and what it asks for.
//! Never changes a byte of it: a renamed model is spliced in when it is sent.
//!
//! | module | what it does |
//! |---|---|
//! | [`incoming`] | a body as it arrives, whatever protocol it comes by |
//! | [`gather`] | reads it into memory |
//! | [`rest`] | sends on what is not kept, as it arrives |
//!
//! A body is kept in one piece, so that another account can be asked, up to [`Limits::kept`]. Of a larger one the
//! beginning decides, and is sent first; the rest follows as it arrives, once. What is named only in the rest counts
//! as not named, except the model: where the beginning has none (or is compressed), and the operation needs one, the
//! body is read whole after all, up to [`Limits::largest`]; a second one in the rest ends the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use penstock_llm::encoding::decode_body;
use penstock_llm::request::{Asked, scan, scan_beginning};
use penstock_llm::splice::splice;
use penstock_proxy_core::headers::Headers;
use penstock_proxy_core::route::{Operation, Route};

use crate::respond::Refusal;
use crate::upstream;

mod gather;
mod incoming;
mod rest;

use gather::Gathering;
pub(crate) use incoming::Incoming;
use rest::Rest;

/// A request's body, read and understood.
pub(crate) struct RequestBody {
    /// As received; its beginning, where there is a `rest`.
    received: Bytes,
    /// Without its content encoding; `None` = it has none.
    decoded: Option<Bytes>,
    /// What is still to come.
    rest: Option<Rest>,
    /// What it asks for.
    pub(crate) asked: Asked,
}

/// How much of a body is read, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Largest body, bytes.
    pub(crate) largest: u64,
    /// How much is kept to be sent again, bytes.
    pub(crate) kept: u64,
    /// Longest gap between two pieces.
    pub(crate) progress: Duration,
    /// The client waits for our word before it sends: a body that is too large is never asked for.
    pub(crate) announced_first: bool,
}

/// Reads the body, or as much of it as is kept.
pub(crate) async fn read(
    incoming: Incoming,
    route: &Route,
    headers: &Headers,
    limits: Limits,
) -> Result<RequestBody, Refusal> {
    let largest = limits.largest;
    let incoming = match incoming {
        // Most bodies arrive with their head: no copy.
        Incoming::Whole(all) if all.len() as u64 <= largest => return parse(route, headers, all, largest),
        other => other,
    };
    // Boxed: few bodies are not whole by now, and every request's future would have room for the reading.
    Box::pin(async move {
        let mut gathering = Gathering::begin(incoming, limits).await?;
        if !gathering.keep().await?
            && let Some(asked) = asked_at_first(route, headers, gathering.bytes())?
        {
            let (received, rest) = gathering.split();
            if asked.model.is_some() {
                rest.watch_model(&received);
            }
            return Ok(RequestBody { received, decoded: None, rest: Some(rest), asked });
        }
        parse(route, headers, gathering.all().await?, largest)
    })
    .await
}

/// What the beginning of a body asks for. `None`: it does not say enough.
fn asked_at_first(route: &Route, headers: &Headers, beginning: &[u8]) -> Result<Option<Asked>, Refusal> {
    let needs_model = is_understood(route.operation);
    if headers.contains("content-encoding") {
        return Ok((!needs_model).then(Asked::default));
    }
    match scan_beginning(route.dialect, beginning) {
        Ok(asked) => Ok((asked.model.is_some() || !needs_model).then_some(asked)),
        Err(error) if needs_model => Err(Refusal::NotJson(error)),
        Err(_) => Ok(Some(Asked::default())),
    }
}

/// Whether a provider has to understand the body, and is chosen by its model.
fn is_understood(operation: Operation) -> bool {
    match operation {
        Operation::Messages
        | Operation::CountTokens
        | Operation::ChatCompletions
        | Operation::Responses
        | Operation::Compact
        | Operation::Embeddings => true,
        Operation::Models | Operation::Other => false,
    }
}

/// Finds what a whole body asks for. Only one that a provider would have to understand is refused.
fn parse(route: &Route, headers: &Headers, received: Bytes, largest: u64) -> Result<RequestBody, Refusal> {
    let must_parse = is_understood(route.operation) && !received.is_empty();
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
    Ok(RequestBody { received, decoded, rest: None, asked })
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

    /// Size as received so far, bytes.
    pub(crate) fn size(&self) -> u64 {
        match &self.rest {
            Some(rest) => rest.received().load(Ordering::Relaxed),
            None => self.received.len() as u64,
        }
    }

    /// Whether all of it is here.
    pub(crate) fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// Counts what comes of a body that is not here as a whole.
    pub(crate) fn counter(&self) -> Option<Arc<AtomicU64>> {
        self.rest.as_ref().map(|rest| Arc::clone(rest.received()))
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

    /// The body to send, of which `segments` is what is here.
    pub(crate) fn outgoing<'a>(&self, segments: &'a [Bytes]) -> upstream::RequestBody<'a> {
        match &self.rest {
            Some(rest) => rest.after(segments),
            None if self.received.is_empty() => upstream::RequestBody::Empty,
            None => upstream::RequestBody::Segments(segments),
        }
    }

    /// Why the rest did not come to its end.
    pub(crate) fn failure(&self) -> Refusal {
        self.rest.as_ref().and_then(Rest::failure).unwrap_or(Refusal::BrokenBody)
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
