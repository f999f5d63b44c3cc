//! What goes back: a status, headers and a body; and everything that can be wrong with a request, before a
//! provider's words are found for it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};

use crate::{
    json::Raw,
    limits::{AccountKind, Exhausted, Readings},
};

/// An answer, ready to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// A body: in one piece, or the events of a stream.
#[derive(Debug)]
pub(crate) enum Content {
    Whole(Bytes),
    Events(Vec<Bytes>),
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The request is wrong: what, and which parameter.
    Invalid {
        message: String,
        param: Option<&'static str>,
    },
    /// No such path.
    NoRoute {
        method: String,
        path: String,
    },
    Unauthorized,
    Billing,
    Forbidden,
    ModelNotFound,
    /// A limit is used up until an instant.
    Limited {
        by: Exhausted,
        until: Timestamp,
    },
    /// Too much, and no word on when it ends.
    Windowless,
    InsufficientQuota,
    UsageLimitReached {
        until: Timestamp,
    },
    UsageNotIncluded,
    Overloaded,
    ServerError,
    BadGateway,
    Unavailable,
    GatewayTimeout,
}

/// What an answer's headers and errors speak of.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) now: Timestamp,
    pub(crate) request_id: String,
    /// The account's organisation.
    pub(crate) organization: String,
    pub(crate) kind: AccountKind,
    pub(crate) readings: Readings,
    pub(crate) model: String,
    /// The model family that has a window of its own.
    pub(crate) family: Option<String>,
}

impl Failure {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), param: None }
    }

    /// The limit it announces, and until when.
    pub(crate) fn limit(&self) -> Option<(Exhausted, Timestamp)> {
        match self {
            Self::Limited { by, until } => Some((*by, *until)),
            _ => None,
        }
    }
}

impl Context {
    /// Seconds from now until `at`, rounded up, at least 1: what `retry-after` says.
    pub(crate) fn seconds_until(&self, at: Timestamp) -> i64 {
        let wait = at.duration_since(self.now);
        let second = i64::from(wait.subsec_nanos() > 0);
        (wait.as_secs() + second).max(1)
    }

    /// Time from now until `at`, not negative.
    pub(crate) fn until(&self, at: Timestamp) -> SignedDuration {
        at.duration_since(self.now).max(SignedDuration::ZERO)
    }
}

impl Reply {
    /// A JSON body.
    pub(crate) fn json(status: u16, mut headers: HeaderMap, body: Raw) -> Self {
        put(&mut headers, "content-type", "application/json");
        Self { status: code(status), headers, content: Content::Whole(body.0.into()) }
    }

    /// A stream of events.
    pub(crate) fn stream(mut headers: HeaderMap, events: Vec<Bytes>) -> Self {
        put(&mut headers, "content-type", "text/event-stream; charset=utf-8");
        put(&mut headers, "cache-control", "no-cache");
        Self { status: StatusCode::OK, headers, content: Content::Events(events) }
    }

    /// The page of a gateway in front of the provider, which knows no dialect.
    pub(crate) fn gateway_page(status: u16, mut headers: HeaderMap) -> Self {
        let status = code(status);
        let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        let page = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
             <hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
        );
        put(&mut headers, "content-type", "text/html");
        Self { status, headers, content: Content::Whole(page.into()) }
    }
}

/// Sets a header; a value that cannot stand in one is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// An event with a name.
pub(crate) fn event(name: &str, data: &Raw) -> Bytes {
    format!("event: {name}\ndata: {}\n\n", data.0).into()
}

/// An event without a name.
pub(crate) fn data(data: &Raw) -> Bytes {
    format!("data: {}\n\n", data.0).into()
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
