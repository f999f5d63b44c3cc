//! The streams in `streams/`, one file each; the name's first word tells the dialect.

use penstock_proto::dialect::Dialect;

macro_rules! streams {
    ($($name:literal),* $(,)?) => {
        /// Name, dialect and bytes of every stream.
        pub(crate) const STREAMS: &[(&str, Dialect, &[u8])] = &[
            $(($name, dialect_of($name), include_bytes!(concat!("streams/", $name, ".sse")))),*
        ];
    };
}

streams!(
    "anthropic-cut-in-block",
    "anthropic-error-first",
    "anthropic-error-midway",
    "anthropic-no-event-lines",
    "anthropic-no-message-stop",
    "anthropic-null-in-delta",
    "anthropic-tools",
    "anthropic-type-last",
    "anthropic-usage-only-at-end",
    "anthropic-usage-only-at-start",
    "anthropic-wrong-event-line",
    "chat-azure-and-comments",
    "chat-cut",
    "chat-empty-finish-reason",
    "chat-error-first",
    "chat-error-midway",
    "chat-finish-without-done",
    "chat-groq",
    "chat-no-usage",
    "chat-spaced",
    "chat-two-data-lines",
    "chat-usage",
    "chat-usage-on-every-chunk",
    "codex",
    "codex-overloaded-first",
    "responses-cut",
    "responses-error-flat",
    "responses-error-nested",
    "responses-failed-then-completed",
    "responses-incomplete",
    "responses-reset-by-usage-limit",
    "responses-resumed",
    "responses-text",
);

const fn dialect_of(name: &str) -> Dialect {
    match (name.as_bytes()[0], name.as_bytes()[1]) {
        (b'a', _) => Dialect::AnthropicMessages,
        (b'c', b'h') => Dialect::OpenaiChat,
        _ => Dialect::OpenaiResponses,
    }
}

/// The bytes of a stream.
pub(crate) fn stream(name: &str) -> (Dialect, &'static [u8]) {
    let found = STREAMS.iter().find(|(known, ..)| *known == name);
    found.map(|(_, dialect, bytes)| (*dialect, *bytes)).expect("a stream of this name")
}

/// Cuts bytes into chunks of these sizes, the last size for all the rest.
pub(crate) fn chunks<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut cut = Vec::new();
    let mut sizes = sizes.iter().copied();
    let mut size = 1;
    while !bytes.is_empty() {
        size = sizes.next().unwrap_or(size).clamp(1, bytes.len());
        let (chunk, rest) = bytes.split_at(size);
        cut.push(chunk);
        bytes = rest;
    }
    cut
}
