//! The tap on whole streams: equal to a full parse, wherever chunks are cut.

use penstock_llm::phrase::StreamTail;
use penstock_llm::sse::Boundary;
use penstock_llm::usage::{Endpoint, Finish, Reading, Shape, Tap};
use penstock_proto::dialect::Dialect;
use penstock_proto::usage::{Usage, UsageSource};
use proptest::prelude::*;

use crate::full_parse;
use crate::random;
use crate::samples::{STREAMS, chunks, stream};

const DIALECTS: [Dialect; 3] = [Dialect::AnthropicMessages, Dialect::OpenaiChat, Dialect::OpenaiResponses];

pub(crate) fn read(dialect: Dialect, chunks: &[&[u8]]) -> (Reading, Option<StreamTail>) {
    let mut tap = Tap::new(Some(dialect), Some(Shape::Stream), Endpoint::Create);
    chunks.iter().for_each(|chunk| tap.push(chunk));
    let tail = tap.tail();
    tap.finish();
    (tap.reading(), tail)
}

fn reading(name: &str) -> Reading {
    let (dialect, bytes) = stream(name);
    read(dialect, &[bytes]).0
}

/// Where a reading differs from a full parse.
fn difference(dialect: Dialect, bytes: &[u8]) -> Option<String> {
    let (reading, _) = read(dialect, &[bytes]);
    let parsed = full_parse::read(dialect, bytes);
    let reported = (reading.source == UsageSource::Reported).then_some(reading.usage);
    let finish = match (parsed.error, parsed.terminal) {
        (true, _) => Finish::Errored,
        (false, true) => Finish::Terminal,
        (false, false) => Finish::Open,
    };
    let same = reported == parsed.usage && reading.model == parsed.model && reading.finish == finish;
    (!same).then(|| format!("{reading:?}\nis not {finish:?} {parsed:?}"))
}

#[test]
fn the_tap_reads_what_a_full_parse_reads() {
    for (name, dialect, bytes) in STREAMS {
        assert_eq!(difference(*dialect, bytes), None, "{name}");
    }
}

#[test]
fn the_tap_does_not_see_where_chunks_are_cut() {
    for (name, dialect, bytes) in STREAMS {
        let whole = read(*dialect, &[bytes]);
        for size in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(read(*dialect, &chunks(bytes, &[size])), whole, "{name} in chunks of {size}");
        }
    }
}

#[test]
fn line_ends_do_not_matter() {
    for (name, dialect, bytes) in STREAMS {
        let whole = read(*dialect, &[bytes]).0;
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        for line_end in ["\r\n", "\r"] {
            let other = format!("\u{feff}{}", text.replace('\n', line_end));
            for size in [1, 5, other.len()] {
                assert_eq!(
                    read(*dialect, &chunks(other.as_bytes(), &[size])).0,
                    whole,
                    "{name} with {line_end:?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn random_streams_are_read_as_a_full_parse_reads_them(
        (dialect, stream) in prop::sample::select(DIALECTS.to_vec())
            .prop_flat_map(|dialect| (Just(dialect), random::stream(dialect))),
        sizes in prop::collection::vec(1_usize..50, 1..40),
    ) {
        prop_assert_eq!(difference(dialect, stream.as_bytes()), None);
        let whole = read(dialect, &[stream.as_bytes()]);
        prop_assert_eq!(read(dialect, &chunks(stream.as_bytes(), &sizes)), whole);
    }

    #[test]
    fn random_cuts_do_not_matter_either(at in 0..STREAMS.len(), sizes in prop::collection::vec(1_usize..200, 1..60)) {
        let (_, dialect, bytes) = STREAMS[at];
        prop_assert_eq!(read(dialect, &chunks(bytes, &sizes)), read(dialect, &[bytes]));
    }

    #[test]
    fn a_stream_cut_anywhere_is_never_taken_for_complete_before_its_end(at in 0..STREAMS.len(), cut in 0.0..1.0) {
        let (name, dialect, bytes) = STREAMS[at];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a place inside a small file")]
        let cut = (bytes.len() as f64 * cut) as usize;
        let whole = read(dialect, &[bytes]).0;
        let part = read(dialect, &[&bytes[..cut]]).0;
        prop_assert!(part.finish == Finish::Open || part.finish == whole.finish
            // A finish reason may be followed by an error.
            || whole.finish == Finish::Errored, "{name} cut at {cut}: {:?}", part.finish);
    }
}

#[test]
fn anthropic_totals_overwrite_and_cache_writes_keep_their_lifetime() {
    let tools = reading("anthropic-tools");
    let expected = Usage {
        input_tokens: 12,
        cache_read_tokens: 900,
        cache_write_5m_tokens: 60,
        cache_write_1h_tokens: 40,
        output_tokens: 20,
        reasoning_tokens: 5,
    };
    assert_eq!((tools.usage, tools.source), (expected, UsageSource::Reported));
    assert_eq!((tools.id.as_deref(), tools.model.as_deref()), (Some("msg_01"), Some("claude-x-20260101")));
    let nulls = reading("anthropic-null-in-delta").usage;
    assert_eq!((nulls.input_tokens, nulls.cache_read_tokens, nulls.output_tokens), (15, 1001, 8));
}

#[test]
fn openai_classes_are_disjoint() {
    let chat = reading("chat-usage").usage;
    assert_eq!((chat.input_tokens, chat.cache_read_tokens, chat.cache_write_5m_tokens), (12, 900, 100));
    assert_eq!((chat.output_tokens, chat.reasoning_tokens, chat.total()), (10, 20, 1042));
    let responses = reading("responses-text").usage;
    assert_eq!((responses.input_tokens, responses.cache_read_tokens), (500, 300));
    assert_eq!((responses.output_tokens, responses.reasoning_tokens, responses.total()), (20, 30, 1050));
    assert_eq!(reading("chat-usage-on-every-chunk").usage.output_tokens, 4);
    assert_eq!(reading("chat-azure-and-comments").usage.output_tokens, 30);
}

#[test]
fn an_answer_without_numbers_is_estimated_and_says_so() {
    let cut = reading("anthropic-cut-in-block");
    assert_eq!((cut.finish, cut.source, cut.input_known), (Finish::Open, UsageSource::Estimated, true));
    assert_eq!(cut.usage.input_tokens, 12);
    assert!((90..=110).contains(&cut.usage.output_tokens), "{:?}", cut.usage);
    let silent = reading("chat-no-usage");
    assert_eq!(
        (silent.finish, silent.source, silent.input_known),
        (Finish::Terminal, UsageSource::Estimated, false)
    );
    assert!((40..=70).contains(&silent.usage.output_tokens), "{:?}", silent.usage);
    assert_eq!(reading("anthropic-error-first").source, UsageSource::None);
}

#[test]
fn errors_in_streams_are_read_in_every_shape() {
    for (name, kind, code, message) in [
        ("anthropic-error-midway", Some("overloaded_error"), None, "Overloaded"),
        ("anthropic-error-first", Some("overloaded_error"), None, "Overloaded"),
        ("chat-error-midway", Some("server_error"), None, "The server had an error"),
        ("responses-error-flat", None, Some("server_error"), "Boom"),
        ("responses-failed-then-completed", None, Some("server_error"), "The model failed."),
    ] {
        let error = reading(name).stream_error.expect(name);
        assert_eq!((error.kind.as_deref(), error.code.as_deref()), (kind, code), "{name}");
        assert_eq!(error.message.as_deref(), Some(message), "{name}");
    }
    let nested = reading("responses-error-nested").stream_error.unwrap();
    assert_eq!(nested.resets_in, Some(std::time::Duration::from_millis(50_500)));
    assert_eq!(nested.headers, [("x-ratelimit-reset-tokens".to_owned(), "50.5s".to_owned())]);
    let limit = reading("responses-reset-by-usage-limit").stream_error.unwrap();
    assert_eq!((limit.kind.as_deref(), limit.plan.as_deref()), (Some("usage_limit_reached"), Some("plus")));
    assert_eq!(limit.resets_at.map(jiff::Timestamp::as_second), Some(1_790_000_000));
}

#[test]
fn windows_in_a_codex_stream_are_read() {
    let (dialect, bytes) = stream("codex");
    let mut tap = Tap::new(Some(dialect), Some(Shape::Stream), Endpoint::Create);
    let told: Vec<_> = chunks(bytes, &[7])
        .iter()
        .filter_map(|chunk| {
            tap.push(chunk);
            tap.take_codex_limits()
        })
        .collect();
    let [limits] = &told[..] else { panic!("each event is told once: {told:?}") };
    assert_eq!(limits.plan.as_deref(), Some("plus"));
    let [primary, secondary] = &limits.windows[..] else { panic!("{limits:?}") };
    assert_eq!((primary.name.as_str(), primary.minutes), ("primary", Some(300)));
    assert_eq!(primary.resets_at.map(jiff::Timestamp::as_second), Some(1_790_000_000));
    assert_eq!((secondary.name.as_str(), secondary.minutes), ("secondary", Some(10_079)));
    assert!((secondary.used_percent - 41.5).abs() < f64::EPSILON);
    assert_eq!(secondary.resets_in, Some(std::time::Duration::from_secs(86_400)));
}

#[test]
fn the_tail_knows_where_a_responses_stream_stands() {
    let (dialect, bytes) = stream("responses-cut");
    let tail = read(dialect, &[bytes]).1.unwrap();
    assert_eq!((tail.response_id.as_deref(), tail.model.as_deref()), (Some("resp_1"), Some("gpt-x-2026")));
    assert_eq!((tail.created_at, tail.sequence_number), (Some(1_790_000_000), Some(5)));
    assert_eq!(tail.boundary, Boundary::Clean);
    let resumed = stream("responses-resumed");
    assert_eq!(read(resumed.0, &[resumed.1]).1.unwrap().sequence_number, Some(18));
    assert_eq!(read(dialect, &[&bytes[..bytes.len() - 1]]).1.unwrap().boundary, Boundary::InEvent);
    assert_eq!(read(dialect, &[&bytes[..bytes.len() - 9]]).1.unwrap().boundary, Boundary::InLine);
}

#[test]
fn a_line_of_thirty_megabytes_passes_and_usage_is_still_read() {
    let image = "A".repeat(30_000_000);
    let start = r#"data: {"type":"response.image_generation_call.partial_image","sequence_number":1,"b64":""#;
    let first = r#"data: {"type":"response.created","sequence_number":0,"response":{"id":"r","model":"m"}}"#;
    let end = r#"data: {"type":"response.completed","sequence_number":2,"response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#;
    let bytes = format!("{first}\n\n{start}{image}\"}}\n\n{end}\n\n");
    let (reading, _) = read(Dialect::OpenaiResponses, &chunks(bytes.as_bytes(), &[65_536]));
    assert_eq!((reading.usage.input_tokens, reading.usage.output_tokens), (3, 4));
}

#[test]
fn reading_encoded_streams_gives_the_same() {
    use std::io::Write as _;
    for (name, dialect, bytes) in STREAMS {
        let whole = read(*dialect, &[bytes]).0;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(bytes).unwrap();
        let packed = gzip.finish().unwrap();
        for size in [1, 50, packed.len()] {
            let mut tap =
                Tap::new(Some(*dialect), Some(Shape::Stream), Endpoint::Create).with_encoding("gzip");
            chunks(&packed, &[size]).iter().for_each(|chunk| tap.push(chunk));
            tap.finish();
            assert_eq!(tap.reading(), whole, "{name}");
            assert_eq!(tap.tail(), None);
        }
    }
    let mut unread =
        Tap::new(Some(Dialect::OpenaiChat), Some(Shape::Stream), Endpoint::Create).with_encoding("lzma");
    unread.push(b"data: {}\n\n");
    assert!(unread.is_blind());
}
