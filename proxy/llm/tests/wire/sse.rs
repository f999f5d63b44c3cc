//! Cutting streams into events.

use penstock_llm::sse::Framer;
use proptest::prelude::*;

use crate::samples::{STREAMS, chunks};

fn events(chunks: &[&[u8]]) -> Vec<(String, String)> {
    let mut framer = Framer::new(1 << 20);
    let mut events = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for chunk in chunks {
        framer.push(chunk, |event| events.push((text(event.name), text(event.data))));
    }
    framer.finish(|event| events.push((text(event.name), text(event.data))));
    events
}

fn one(stream: &str) -> Vec<(String, String)> {
    let whole = events(&[stream.as_bytes()]);
    for size in [1, 2, 3] {
        assert_eq!(events(&chunks(stream.as_bytes(), &[size])), whole, "{stream:?} in chunks of {size}");
    }
    whole
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect()
}

#[test]
fn every_way_to_write_an_event() {
    for (stream, expected) in [
        ("data: x\n\n", &[("", "x")][..]),
        ("data:x\n\n", &[("", "x")]),
        ("data:  x\n\n", &[("", " x")]),
        ("event: a\ndata: 1\n\ndata: 2\n\n", &[("a", "1"), ("", "2")]),
        ("event: a\r\ndata: 1\r\n\r\n", &[("a", "1")]),
        ("event: a\rdata: 1\r\r", &[("a", "1")]),
        ("data: 1\ndata: 2\n\n", &[("", "1\n2")]),
        ("data\n\n", &[("", "")]),
        ("data:\ndata:\n\n", &[("", "\n")]),
        ("event: a\n\ndata: 1\n\n", &[("", "1")]),
        ("event: a\nevent\ndata: 1\n\n", &[("", "1")]),
        (": comment\nid: 1\nretry: 2\nunknown: x\ndatax: y\ndata: 1\n\n", &[("", "1")]),
        ("\u{feff}data: 1\n\n", &[("", "1")]),
        ("\n\n\ndata: 1\n\n\n\n", &[("", "1")]),
        ("data: 👋é\n\n", &[("", "👋é")]),
        // At the end only whole JSON or [DONE] counts without its blank line.
        ("data: {\"a\":1}", &[("", "{\"a\":1}")]),
        ("data: {\"a\":1}\n", &[("", "{\"a\":1}")]),
        ("data: [DONE]", &[("", "[DONE]")]),
        ("data: {\"a\":", &[]),
        ("event: a\n", &[]),
    ] {
        assert_eq!(one(stream), pairs(expected), "{stream:?}");
    }
}

#[test]
fn half_a_byte_order_mark_is_an_unknown_field() {
    assert_eq!(events(&[b"\xEF\xBBdata: 1\ndata: 2\n\n"]), pairs(&[("", "2")]));
}

#[test]
fn more_data_than_the_limit_is_cut_and_says_so() {
    let mut framer = Framer::new(4);
    let mut seen = Vec::new();
    framer.push(b"data: 123456\n\ndata: 12\n\n", |event| seen.push((event.data.to_vec(), event.cut)));
    assert_eq!(seen, [(b"1234".to_vec(), true), (b"12".to_vec(), false)]);
}

#[test]
fn recorded_streams_do_not_depend_on_chunks() {
    for (name, _, bytes) in STREAMS {
        let whole = events(&[bytes]);
        for size in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(events(&chunks(bytes, &[size])), whole, "{name}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_lines_do_not_depend_on_chunks(
        pieces in prop::collection::vec(prop::sample::select(&[
            "data", "event", ":", " ", "\n", "\r", "\r\n", "x", "{}", "[DONE]", "id", "d", "e", "\u{feff}", "é",
        ][..]), 0..60),
        sizes in prop::collection::vec(1_usize..9, 1..30),
    ) {
        let stream = pieces.concat();
        prop_assert_eq!(events(&chunks(stream.as_bytes(), &sizes)), events(&[stream.as_bytes()]));
    }
}
