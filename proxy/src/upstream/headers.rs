//! Which header fields belong to one connection and so are never passed from one leg to the other.

use http::{HeaderName, header};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a field is about the connection or the framing of its message, which each leg writes for itself.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Comparing with a standard name is comparing a byte.
    name == header::CONNECTION
        || name == header::CONTENT_LENGTH
        || name == header::TRANSFER_ENCODING
        || name == header::TE
        || name == header::TRAILER
        || name == header::UPGRADE
        || name == KEEP_ALIVE
        || name == PROXY_CONNECTION
}

/// Whether a field of a request is left to us: hop-by-hop, or naming the host, or asking for an interim answer that
/// nobody waits for.
pub(crate) fn is_ours_in_a_request(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || name == header::HOST || name == header::EXPECT
}
