//! The laws that the fuzz targets drive, on random bytes and on damaged streams: a small part of what a
//! fuzzer finds, on every run.

use proptest::prelude::*;

use crate::samples::STREAMS;

#[path = "../../fuzz/laws.rs"]
mod fuzz;

/// A stream as providers send it, with a piece of it replaced by a piece of another.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let any_stream = || prop::sample::select(STREAMS.iter().map(|(_, _, bytes)| *bytes).collect::<Vec<_>>());
    let place = any::<prop::sample::Index>;
    (any_stream(), any_stream(), place(), place(), place(), place()).prop_map(|(one, other, a, b, c, d)| {
        let within = |bytes: &[u8], x: prop::sample::Index, y: prop::sample::Index| {
            let (x, y) = (x.index(bytes.len() + 1), y.index(bytes.len() + 1));
            x.min(y)..x.max(y)
        };
        let mut damaged = one.to_vec();
        damaged.splice(within(one, a, b), other[within(other, c, d)].iter().copied());
        damaged
    })
}

/// Bytes of no kind, or something like a stream or a body.
fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2_000),
        damaged(),
        crate::random::body().prop_map(String::into_bytes),
    ]
}

/// The magic numbers, so that decoders see more than their first byte.
fn packed() -> impl Strategy<Value = Vec<u8>> {
    let magic: [&[u8]; 4] =
        [b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03", b"\x28\xB5\x2F\xFD", b"\x78\x9C", b""];
    (prop::sample::select(magic.to_vec()), prop::collection::vec(any::<u8>(), 0..500))
        .prop_map(|(magic, rest)| [magic, &rest].concat())
}

proptest! {
    #[test]
    fn no_bytes_break_the_tap_or_the_detector(size in any::<u8>(), bytes in input()) {
        fuzz::tap(size, &bytes);
    }

    #[test]
    fn events_of_any_bytes_do_not_depend_on_chunks(size in any::<u8>(), bytes in input()) {
        fuzz::sse(size, &bytes);
    }

    #[test]
    fn a_scan_of_any_bytes_agrees_with_a_full_parse(bytes in input()) {
        fuzz::scan(&bytes);
    }

    #[test]
    fn no_bytes_break_a_decoder_or_decode_to_more_than_the_cap(which in any::<u8>(), bytes in packed()) {
        fuzz::decode(which, &bytes);
    }
}
