//! The tap and the commit detector never panic; JSON is read the same in any chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use penstock_llm::commit::CommitDetector;
use penstock_llm::phrase::{Problem, ProblemKind, stream_error};
use penstock_llm::usage::{Endpoint, Reading, Shape, Tap};
use penstock_proto::dialect::Dialect;

fn read(dialect: Dialect, shape: Shape, bytes: &[u8], size: usize) -> Reading {
    let mut tap = Tap::new(Some(dialect), Some(shape), Endpoint::Create);
    let mut detector = CommitDetector::new(Some(dialect));
    for chunk in bytes.chunks(size) {
        tap.push(chunk);
        detector.push(chunk);
    }
    if let Some(tail) = tap.tail() {
        stream_error(Some(dialect), &Problem::new(ProblemKind::BadGateway, "broken"), &tail);
    }
    detector.finish();
    tap.finish();
    tap.reading()
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (size, bytes) = (usize::from(input.0).max(1), input.1);
    // Sniffing compression looks at the first chunk, which differs here.
    let whole =
        if bytes.starts_with(b"\x1F") || bytes.starts_with(b"\x28") { size } else { bytes.len().max(1) };
    for dialect in [Dialect::AnthropicMessages, Dialect::OpenaiChat, Dialect::OpenaiResponses] {
        let json = read(dialect, Shape::Json, &bytes, size);
        assert_eq!(json, read(dialect, Shape::Json, &bytes, whole));
        read(dialect, Shape::Stream, &bytes, size);
    }
});
