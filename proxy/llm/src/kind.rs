//! What an event is, told from the beginning of its data.

use memchr::memchr2;

/// The value of `"type"`, where it is the object's first key (as both providers write it) and has no
/// escapes. `None`: not told by the beginning.
pub(crate) fn leading_type(data: &[u8]) -> Option<&[u8]> {
    let rest = match data.strip_prefix(br#"{"type":""#) {
        Some(rest) => rest,
        None => spaced(data)?,
    };
    let end = memchr2(b'"', b'\\', &rest[..rest.len().min(MAX_TYPE + 1)])?;
    let (kind, rest) = rest.split_at(end);
    (rest[0] == b'"' && kind.iter().all(u8::is_ascii_graphic)).then_some(kind)
}

/// What follows the quote that opens the value, where blanks stand between the parts.
fn spaced(data: &[u8]) -> Option<&[u8]> {
    let rest = data.trim_ascii_start().strip_prefix(b"{")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"type\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    rest.trim_ascii_start().strip_prefix(b"\"")
}

/// Longest type of an event; the longest in use has 42 bytes.
const MAX_TYPE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_type_counts() {
        for (data, expected) in [
            (&br#"{"type":"ping"}"#[..], Some(&b"ping"[..])),
            (br#" { "type" : "message_start" , "x":1}"#, Some(b"message_start")),
            (br#"{"index":0,"type":"ping"}"#, None),
            (br#"{"type":"pi"#, None),
            (br#"{"type":"p\u0069ng"}"#, None),
            (br#"{"type":5}"#, None),
            (b"", None),
        ] {
            assert_eq!(leading_type(data), expected);
        }
    }
}
