//! When a stream has begun to answer.

use penstock_llm::commit::{Commit, CommitDetector};
use penstock_proto::dialect::Dialect;

use crate::samples::{STREAMS, chunks, stream};

/// What the detector says after each event.
fn verdicts(dialect: Dialect, events: &[&str]) -> Vec<Commit> {
    let mut detector = CommitDetector::new(Some(dialect));
    events.iter().map(|event| detector.push(event.as_bytes()).clone()).collect()
}

fn label(commit: &Commit) -> &'static str {
    match commit {
        Commit::Pending => "pending",
        Commit::Committed => "committed",
        Commit::Failed(_) => "failed",
    }
}

#[test]
fn what_does_not_commit() {
    for (dialect, event, expected) in [
        (
            Dialect::AnthropicMessages,
            "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
            "pending",
        ),
        (Dialect::AnthropicMessages, "event: ping\ndata: {\"type\": \"ping\"}\n\n", "pending"),
        (Dialect::AnthropicMessages, ": comment\n\n", "pending"),
        (Dialect::AnthropicMessages, "event: content_block_start\ndata: {\"index\":0}\n\n", "committed"),
        (
            Dialect::AnthropicMessages,
            "event: ping\ndata: {\"type\":\"content_block_start\"}\n\n",
            "committed",
        ),
        (Dialect::AnthropicMessages, "data: {\"error\":{\"type\":\"x\"},\"type\":\"error\"}\n\n", "failed"),
        (Dialect::AnthropicMessages, "event: error\ndata: not JSON\n\n", "failed"),
        (
            Dialect::AnthropicMessages,
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            "committed",
        ),
        (
            Dialect::OpenaiChat,
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"finish_reason\":null}]}\n\n",
            "pending",
        ),
        (Dialect::OpenaiChat, "data: {\"choices\":[],\"prompt_filter_results\":[{}]}\n\n", "pending"),
        (Dialect::OpenaiChat, "data: {\"choices\":[{\"delta\":{\"content\":\"H\"}}]}\n\n", "committed"),
        (
            Dialect::OpenaiChat,
            "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"H\"}}]}\n\n",
            "committed",
        ),
        (
            Dialect::OpenaiChat,
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n",
            "committed",
        ),
        (
            Dialect::OpenaiChat,
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "committed",
        ),
        (Dialect::OpenaiChat, "data: {\"choices\":[{\"text\":\"H\"}]}\n\n", "committed"),
        (Dialect::OpenaiChat, "data: {\"error\":null,\"choices\":[]}\n\n", "pending"),
        (Dialect::OpenaiChat, "data: {\"error\":{\"message\":\"x\"}}\n\n", "failed"),
        (Dialect::OpenaiChat, "data: [DONE]\n\n", "committed"),
        (Dialect::OpenaiChat, "data: no JSON\n\n", "committed"),
        (
            Dialect::OpenaiResponses,
            "event: response.created\ndata: {\"type\":\"response.created\"}\n\n",
            "pending",
        ),
        (Dialect::OpenaiResponses, "data: {\"type\":\"response.queued\"}\n\n", "pending"),
        (Dialect::OpenaiResponses, "data: {\"type\":\"codex.rate_limits\"}\n\n", "pending"),
        (Dialect::OpenaiResponses, "data: {\"type\":\"keepalive\"}\n\n", "pending"),
        (Dialect::OpenaiResponses, "data: {\"type\":\"response.output_item.added\"}\n\n", "committed"),
        (Dialect::OpenaiResponses, "data: {\"type\":\"response.failed\"}\n\n", "failed"),
    ] {
        assert_eq!(label(&verdicts(dialect, &[event])[0]), expected, "{event}");
    }
}

#[test]
fn the_first_verdict_stays() {
    let content = "event: content_block_start\ndata: {\"type\":\"content_block_start\"}\n\n";
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    let both = verdicts(Dialect::AnthropicMessages, &[content, error]);
    assert_eq!(both, [Commit::Committed, Commit::Committed]);
    let failed = verdicts(Dialect::AnthropicMessages, &[error, content]);
    assert_eq!(failed.iter().map(label).collect::<Vec<_>>(), ["failed", "failed"]);
}

#[test]
fn an_error_first_is_read() {
    for (name, kind, code) in [
        ("anthropic-error-first", Some("overloaded_error"), None),
        ("chat-error-first", Some("tokens"), Some("rate_limit_exceeded")),
        ("codex-overloaded-first", None, Some("server_is_overloaded")),
        ("responses-error-nested", Some("tokens"), Some("rate_limit_exceeded")),
        ("responses-error-flat", None, Some("server_error")),
    ] {
        let (dialect, bytes) = stream(name);
        let mut detector = CommitDetector::new(Some(dialect));
        let Commit::Failed(facts) = detector.push(bytes) else { panic!("{name}") };
        assert_eq!((facts.kind.as_deref(), facts.code.as_deref()), (kind, code), "{name}");
    }
}

#[test]
fn the_verdict_does_not_depend_on_chunks() {
    for (name, dialect, bytes) in STREAMS {
        let mut whole = CommitDetector::new(Some(*dialect));
        let expected = whole.push(bytes).clone();
        for size in [1, 2, 7, 64] {
            let mut detector = CommitDetector::new(Some(*dialect));
            chunks(bytes, &[size]).iter().for_each(|chunk| drop(detector.push(chunk).clone()));
            assert_eq!(detector.push(b""), &expected, "{name}");
            assert_eq!(detector.events(), whole.events(), "{name}");
        }
    }
}

#[test]
fn an_echo_longer_than_what_is_kept_does_not_commit() {
    let echo = "x".repeat(100_000);
    let created =
        format!("data: {{\"type\":\"response.created\",\"response\":{{\"instructions\":\"{echo}\"}}}}\n\n");
    assert_eq!(verdicts(Dialect::OpenaiResponses, &[&created]), [Commit::Pending]);
}

#[test]
fn a_stream_without_an_answer_stays_pending() {
    let mut detector = CommitDetector::new(Some(Dialect::OpenaiResponses));
    assert_eq!(detector.finish(), &Commit::Pending);
    let mut late = CommitDetector::new(Some(Dialect::AnthropicMessages));
    late.push(b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}");
    assert_eq!(label(late.finish()), "failed");
}

#[test]
fn encoded_streams_are_decoded_and_unknown_ones_commit() {
    use std::io::Write as _;
    let (dialect, bytes) = stream("anthropic-error-first");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    let packed = gzip.finish().unwrap();
    let mut detector = CommitDetector::new(Some(dialect)).with_encoding("gzip");
    assert_eq!(label(detector.push(&packed)), "failed");
    for unreadable in ["zstd", "lzma"] {
        assert_eq!(
            CommitDetector::new(Some(dialect)).with_encoding(unreadable).push(b""),
            &Commit::Committed
        );
    }
}
