//! Which header fields belong to one connection and so are never passed from one leg to the other.
//! Names are in lower case.

/// Whether a field is about the connection or the framing of its message, which each leg writes for itself.
pub(crate) fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"content-length"
            | b"transfer-encoding"
            | b"te"
            | b"trailer"
            | b"upgrade"
            | b"keep-alive"
            | b"proxy-connection"
    )
}

/// Whether a field of a request is left to us: hop-by-hop, or naming the host, or asking for an interim answer that
/// nobody waits for.
pub(crate) fn is_ours_in_a_request(name: &[u8]) -> bool {
    is_hop_by_hop(name) || matches!(name, b"host" | b"expect")
}
