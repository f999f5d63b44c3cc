//! Tokens counted from bytes, where nobody says them. wire.md 6.6.

/// Bytes of text per token, about.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens of one image or file, whatever its size.
const MEDIA_TOKENS: u64 = 1500;

/// A string this long without a blank is encoded media, not text.
const MEDIA_BYTES: usize = 4096;

/// How far into a string a blank is looked for.
const LOOK: usize = 1024;

/// Tokens in this many bytes of text, rounded up.
pub fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// Tokens of a request's prompt: all its strings as text, but long strings of encoded media flat.
///
/// Takes one pass over the body; meant for answers that end early, not for every request.
pub fn input_tokens(body: &[u8]) -> u64 {
    let (mut text, mut media) = (0_u64, 0_u64);
    let mut at = 0;
    while let Some(open) = body.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
        let start = at + open;
        let Some(end) = crate::scan::string_end(body, start) else { break };
        let inner = &body[start + 1..end - 1];
        if inner.len() > MEDIA_BYTES && !inner[..LOOK].contains(&b' ') {
            media = media.saturating_add(MEDIA_TOKENS);
        } else {
            text = text.saturating_add(inner.len() as u64);
        }
        at = end;
    }
    tokens(text).saturating_add(media)
}
