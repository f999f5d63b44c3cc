//! The laws that the fuzz targets drive, on random bytes: a small part of what a fuzzer finds, on every run.

use proptest::prelude::*;

#[path = "../fuzz/laws.rs"]
mod fuzz;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn lines_are_accepted_refused_and_read_as_by_httparse(
        pieces in prop::collection::vec(prop_oneof![
            8 => prop::sample::select(vec![
                "\r\n", "\n", "\r", ": ", ":", " ", "\t", "a", "X-Name", "content-length", "value", "\0", "\u{7f}",
                "(", "\"", "\u{e9}", "\u{b}", "\u{c}",
            ]).prop_map(|piece| piece.as_bytes().to_vec()),
            4 => "[A-Za-z!#-]{1,9}: ?[ -~\t]{0,90}\r\n".prop_map(String::into_bytes),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ], 0..14),
    ) {
        let mut lines = pieces.concat();
        fuzz::lines(&lines);
        lines.extend_from_slice(b"\r\n\r\n");
        fuzz::lines(&lines);
    }
}
