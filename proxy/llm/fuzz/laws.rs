//! What holds for any bytes: driven by libFuzzer (`fuzz_targets`) and, on every run of the tests, by proptest
//! (`tests/wire/laws.rs`).

use penstock_llm::commit::CommitDetector;
use penstock_llm::encoding::decode_body;
use penstock_llm::phrase::{Problem, ProblemKind, stream_error};
use penstock_llm::request::scan as scan_body;
use penstock_llm::splice::splice;
use penstock_llm::sse::Framer;
use penstock_llm::usage::{Endpoint, Reading, Shape, Tap};
use penstock_proto::dialect::Dialect;
use serde_json::Value;

const DIALECTS: [Dialect; 3] = [Dialect::AnthropicMessages, Dialect::OpenaiChat, Dialect::OpenaiResponses];

/// Decoded bytes at most.
const CAP: usize = 1 << 16;

/// No compressed body panics a decoder or decodes to more than the cap.
pub(crate) fn decode(which: u8, body: &[u8]) {
    let encodings = ["gzip", "deflate", "br", "zstd", "br, gzip", "zstd, zstd"];
    let encoding = encodings[usize::from(which) % encodings.len()];
    if let Ok(decoded) = decode_body(encoding, &bytes::Bytes::copy_from_slice(body), CAP) {
        assert!(decoded.len() <= CAP);
    }
}

/// The scan never panics, and agrees with a full parse on whatever is JSON.
pub(crate) fn scan(body: &[u8]) {
    let parsed = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    for dialect in [None].into_iter().chain(DIALECTS.map(Some)) {
        let asked = scan_body(dialect, body);
        let Some(parsed) = &parsed else { continue };
        let asked = asked.expect("an object");
        assert_eq!(asked.stream, parsed["stream"] == Value::Bool(true));
        assert_eq!(asked.model.as_ref().map(|span| span.value.as_str()), parsed["model"].as_str());
        if let Some(span) = &asked.model {
            let spliced = splice(&bytes::Bytes::copy_from_slice(body), span, "other").concat();
            let again = serde_json::from_slice::<Value>(&spliced).expect("still an object");
            assert_eq!(again["model"], "other");
        }
    }
}

/// Events do not depend on where chunks are cut.
pub(crate) fn sse(size: u8, stream: &[u8]) {
    let events = |size: usize| {
        let mut framer = Framer::new(64);
        let mut events = Vec::new();
        let mut take = |name: &[u8], data: &[u8], cut: bool| events.push((name.to_vec(), data.to_vec(), cut));
        for chunk in stream.chunks(size.max(1)) {
            framer.push(chunk, |event| take(event.name, event.data, event.cut));
        }
        framer.finish(|event| take(event.name, event.data, event.cut));
        events
    };
    assert_eq!(events(size.into()), events(stream.len()));
}

/// The tap and the commit detector never panic; JSON is read the same in any chunks.
pub(crate) fn tap(size: u8, bytes: &[u8]) {
    let size = usize::from(size).max(1);
    // Sniffing compression looks at the first chunk, which differs here.
    let packed = bytes.starts_with(b"\x1F") || bytes.starts_with(b"\x28");
    let whole = if packed { size } else { bytes.len().max(1) };
    for dialect in DIALECTS {
        let json = read(dialect, Shape::Json, bytes, size);
        assert_eq!(json, read(dialect, Shape::Json, bytes, whole));
        read(dialect, Shape::Stream, bytes, size);
    }
}

fn read(dialect: Dialect, shape: Shape, bytes: &[u8], size: usize) -> Reading {
    let mut tap = Tap::new(Some(dialect), Some(shape), Endpoint::Create);
    let mut detector = CommitDetector::new(Some(dialect));
    for chunk in bytes.chunks(size) {
        tap.push(chunk);
        detector.push(chunk);
        tap.take_codex_limits();
    }
    if let Some(tail) = tap.tail() {
        stream_error(Some(dialect), &Problem::new(ProblemKind::BadGateway, "broken"), &tail);
    }
    detector.finish();
    tap.finish();
    tap.reading()
}
