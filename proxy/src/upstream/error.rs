//! What can go wrong between us and an upstream.
//! Never carries a header, a body byte, a credential or a URL's user part.

use std::io;

/// Why no response, or no complete response, came from an upstream.
///
/// A variant is the step that failed; the cause is its `source`.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The host has no address, or the resolver failed.
    #[error("the upstream's name could not be resolved")]
    Dns(#[source] io::Error),
    /// No TCP connection to the upstream, or to the egress proxy before it.
    #[error("no connection to the upstream")]
    Connect(#[source] io::Error),
    /// The egress proxy answered CONNECT with something else than 2xx (`Some` = its status).
    #[error("the egress proxy did not open a tunnel (status {status:?})")]
    Tunnel {
        /// What it answered; `None` when the answer was not HTTP.
        status: Option<u16>,
    },
    /// The TLS handshake failed: certificate, protocol version or alert.
    #[error("TLS handshake with the upstream failed")]
    Tls(#[source] io::Error),
    /// The step took longer than allowed.
    #[error("the upstream took too long ({})", .0.as_label())]
    Timeout(Stage),
    /// The connection ended before the first byte of a response.
    #[error("the upstream closed the connection before it answered")]
    Closed,
    /// The connection broke while the request was sent or the response was read.
    #[error("the connection to the upstream broke")]
    Reset(#[source] io::Error),
    /// The stream of an HTTP/2 connection, or the connection, ended with an error.
    #[error("the upstream ended the HTTP/2 stream")]
    Http2(#[source] hyper::Error),
    /// What the upstream sent is not a response this proxy passes on.
    #[error("the upstream broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The response ended before its end.
    #[error("the upstream's response ended before its end")]
    Truncated,
    /// The request cannot be put into a message (control characters in the path).
    #[error("the request cannot be expressed as an HTTP message")]
    InvalidRequest,
    /// The source of a streamed request body failed: the client left or broke the protocol.
    #[error("the request body could not be read")]
    RequestBody(#[source] BoxError),
}

/// Any error, as bodies of the HTTP crates have it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Which wait was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Name resolution, TCP, CONNECT and TLS together.
    Connect,
    /// From the start of the attempt to the response head.
    Head,
    /// Between two pieces of the response body.
    Body,
}

/// What was wrong with the upstream's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Not a status line and header lines (folded lines included).
    #[error("malformed response head")]
    MalformedHead,
    /// Larger than 64 KiB or more than 128 header lines.
    #[error("response head too large")]
    HeadTooLarge,
    /// Not one decimal number, or several.
    #[error("invalid content-length")]
    ContentLength,
    /// Anything but a single `chunked`, or in an HTTP/1.0 response.
    #[error("unsupported transfer-encoding")]
    TransferEncoding,
    /// `content-length` and `transfer-encoding` together.
    #[error("both content-length and transfer-encoding")]
    ConflictingFraming,
    /// Chunk size, chunk end or trailer section.
    #[error("malformed chunk")]
    Chunk,
    /// 101 without having been asked.
    #[error("protocol switch that was not asked for")]
    Switch,
}

impl UpstreamError {
    /// Stable label for metrics and history.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Tunnel { .. } => "tunnel",
            Self::Tls(_) => "tls",
            Self::Timeout(stage) => stage.as_label(),
            Self::Closed => "closed",
            Self::Reset(_) => "reset",
            Self::Http2(_) => "http2",
            Self::Protocol(_) => "protocol",
            Self::Truncated => "truncated",
            Self::InvalidRequest => "invalid_request",
            Self::RequestBody(_) => "request_body",
        }
    }

    /// Whether the fault is with the upstream or the way to it (`Unreachable`), rather than with the request
    /// or the client that sends it. Another account may then help.
    pub fn is_upstream_fault(&self) -> bool {
        match self {
            Self::Dns(_)
            | Self::Connect(_)
            | Self::Tunnel { .. }
            | Self::Tls(_)
            | Self::Timeout(_)
            | Self::Closed
            | Self::Reset(_)
            | Self::Http2(_)
            | Self::Protocol(_)
            | Self::Truncated => true,
            Self::InvalidRequest | Self::RequestBody(_) => false,
        }
    }
}

impl Stage {
    /// Stable label.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Connect => "connect_timeout",
            Self::Head => "head_timeout",
            Self::Body => "body_timeout",
        }
    }
}
