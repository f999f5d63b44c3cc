//! What holds for any bytes: driven by libFuzzer (`fuzz_targets`) and, on every run of the tests, by proptest
//! (`tests/laws.rs`).

use penstock_proxy_core::headers::{Headers, LineEnds};

/// Lines read at most; both readers count them.
const MOST: usize = 64;

/// Name and value of each line.
type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// Header lines are accepted, refused and read as by httparse, which many others read with.
pub(crate) fn lines(lines: &[u8]) {
    assert_eq!(of_ours(lines), of_httparse(lines));
}

fn of_ours(lines: &[u8]) -> Option<Lines> {
    let headers = Headers::received(lines, LineEnds::Lenient, MOST).ok()?;
    Some(headers.iter().map(|line| (line.name().to_vec(), line.value().to_vec())).collect())
}

fn of_httparse(lines: &[u8]) -> Option<Lines> {
    let mut room = [httparse::EMPTY_HEADER; MOST];
    match httparse::parse_headers(lines, &mut room) {
        Ok(httparse::Status::Complete((length, found))) if length == lines.len() => {
            let line = |line: &httparse::Header<'_>| {
                (line.name.to_ascii_lowercase().into_bytes(), line.value.to_vec())
            };
            Some(found.iter().map(line).collect())
        }
        _ => None,
    }
}
