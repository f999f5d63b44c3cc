//! Arbitrary bytes: nothing panics, nothing grows, nothing depends on chunks.

use penstock_llm::commit::CommitDetector;
use penstock_llm::estimate;
use penstock_llm::usage::{Endpoint, Reading, Shape, Tap};
use penstock_proto::dialect::Dialect;
use proptest::prelude::*;

use crate::samples::{STREAMS, chunks};

const DIALECTS: [Dialect; 3] = [Dialect::AnthropicMessages, Dialect::OpenaiChat, Dialect::OpenaiResponses];

fn read(dialect: Dialect, shape: Shape, chunks: &[&[u8]]) -> Reading {
    let mut tap = Tap::new(Some(dialect), Some(shape), Endpoint::Create);
    for chunk in chunks {
        tap.push(chunk);
        tap.tail();
    }
    tap.finish();
    tap.reading()
}

/// Bytes that look like a stream or a body from afar.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(
            &[
                "data: ",
                "data:",
                "event: ",
                "\n",
                "\n\n",
                "\r\n",
                "{\"type\":\"",
                "message_start",
                "message_delta",
                "content_block_delta",
                "response.created",
                "response.completed",
                "response.failed",
                "codex.rate_limits",
                "error",
                "\"usage\":",
                "{\"input_tokens\":5,\"output_tokens\":6}",
                "\"",
                "\\",
                "{",
                "}",
                "[",
                "]",
                ",",
                ":",
                "null",
                "\"message\":",
                "\"response\":",
                "\"id\":",
                "\"model\":\"m\"",
                "\"choices\":[",
                "\"finish_reason\":\"stop\"",
                "[DONE]",
                "\"rate_limits\":{\"primary\":",
                "\"used_percent\":1",
                "1e999",
            ][..]
        )
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics_and_as_json_reads_the_same_in_any_chunks(bytes in noise(), sizes in prop::collection::vec(1_usize..30, 1..20)) {
        for dialect in DIALECTS {
            // JSON is walked byte by byte, whatever it is; of events only well-formed ones promise as much.
            prop_assert_eq!(read(dialect, Shape::Json, &chunks(&bytes, &sizes)), read(dialect, Shape::Json, &[&bytes]));
            read(dialect, Shape::Stream, &chunks(&bytes, &sizes));
            let mut detector = CommitDetector::new(Some(dialect));
            chunks(&bytes, &sizes).iter().for_each(|chunk| drop(detector.push(chunk).clone()));
            detector.finish();
        }
        let _ = (estimate::input_tokens(&bytes), Shape::sniff(&bytes));
    }

    #[test]
    fn damaged_streams_never_panic(
        at in 0..STREAMS.len(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        sizes in prop::collection::vec(1_usize..100, 1..20),
    ) {
        let (_, dialect, bytes) = STREAMS[at];
        let mut bytes = bytes.to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        read(dialect, Shape::Stream, &chunks(&bytes, &sizes));
        read(dialect, Shape::Stream, &[&bytes]);
    }
}

#[test]
fn a_prompt_is_estimated_from_its_text_and_media_count_flat() {
    let text = format!(r#"{{"content":"{}"}}"#, "four".repeat(250));
    assert!((250..260).contains(&estimate::input_tokens(text.as_bytes())));
    let image = format!(r#"{{"data":"{}"}}"#, "A".repeat(1_000_000));
    assert!((1500..1510).contains(&estimate::input_tokens(image.as_bytes())));
    assert_eq!((estimate::tokens(0), estimate::tokens(1), estimate::tokens(8)), (0, 1, 2));
}
