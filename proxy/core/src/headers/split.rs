//! Finds the lines of a head, strictly: a name is a token with its colon right behind it, a value holds no control
//! character, no line goes on in the next one.

use memchr::memchr;

use super::list::{Place, is_control, is_token};

/// Lines that a head usually has at most.
const USUAL: usize = 32;

/// What is counted at once. Its size is known, so that the processor compares many bytes in one step.
const BLOCK: usize = 64;

/// A byte may be part of a name.
const IN_NAME: u8 = 1;
/// It needs not be put in lower case.
const LOWER: u8 = 2;

/// What each byte is in a name.
const KINDS: [u8; 256] = {
    let (mut kinds, mut byte) = ([LOWER; 256], 0_u8);
    while byte < 128 {
        let lower = if byte.is_ascii_uppercase() { 0 } else { LOWER };
        kinds[byte as usize] = lower | if is_token(byte) { IN_NAME } else { 0 };
        byte += 1;
    }
    kinds
};

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// Carriage return and line feed, nothing else.
    Strict,
    /// A lone line feed, too (RFC 9112 section 2.2).
    Lenient,
}

/// Why lines are not those of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLines {
    /// Not strictly a list of header lines that ends with an empty line.
    #[error("a header line is malformed")]
    Malformed,
    /// More than are allowed.
    #[error("there are too many header lines")]
    TooMany,
}

/// Finds the lines of a text that ends with the empty line, at most so many, and puts names in lower case.
pub(super) fn split(text: &mut [u8], ends: LineEnds, most: usize) -> Result<Vec<Place>, BadLines> {
    let mut places = Vec::with_capacity(USUAL);
    let (mut start, mut line_ends) = (0, 0);
    while let Some(length) = memchr(b'\n', &text[start..]) {
        let next = start + length + 1;
        let line = &text[start..next - 1];
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if ends == LineEnds::Lenient => line,
            None => return Err(BadLines::Malformed),
        };
        let end = start + line.len();
        line_ends += next - end;
        if line.is_empty() {
            // Seen once for all lines: a control character is nowhere but where a line ends.
            let is_whole = next == text.len() && count_controls(text) == line_ends;
            return if is_whole { Ok(places) } else { Err(BadLines::Malformed) };
        }
        if places.len() == most {
            return Err(BadLines::TooMany);
        }
        let (length, is_lower) = name(line);
        if length == 0 || line.get(length) != Some(&b':') {
            return Err(BadLines::Malformed);
        }
        let (from, to) = value(line, length + 1);
        // Nothing is left of the line behind its value but a whole end.
        let is_plain = line[length + 1..from] == *b" " && to == line.len() && end + 2 == next;
        let name = start..start + length;
        if !is_lower {
            text[name.clone()].make_ascii_lowercase();
        }
        places.push(Place { name, value: start + from..start + to, is_plain });
        start = next;
    }
    Err(BadLines::Malformed)
}

/// How long the name is that a line begins with, and whether it is in lower case.
fn name(line: &[u8]) -> (usize, bool) {
    let (mut length, mut all) = (0, LOWER);
    // Four at once: a decision for each byte would take longer than all else.
    for [a, b, c, d] in line.as_chunks::<4>().0 {
        let kind = |byte: &u8| KINDS[usize::from(*byte)];
        let kinds = kind(a) & kind(b) & kind(c) & kind(d);
        if kinds & IN_NAME == 0 {
            break;
        }
        all &= kinds;
        length += 4;
    }
    for byte in &line[length..] {
        let kind = KINDS[usize::from(*byte)];
        if kind & IN_NAME == 0 {
            break;
        }
        all &= kind;
        length += 1;
    }
    (length, all & LOWER != 0)
}

/// Where a line's value begins and ends, without the blanks around it.
fn value(line: &[u8], mut from: usize) -> (usize, usize) {
    let mut to = line.len();
    let is_blank = |at: usize| matches!(line.get(at), Some(b' ' | b'\t'));
    while is_blank(from) {
        from += 1;
    }
    while to > from && is_blank(to - 1) {
        to -= 1;
    }
    (from, to)
}

fn count_controls(text: &[u8]) -> usize {
    let count = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(is_control(*byte))).sum::<u8>();
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    blocks.iter().map(|block| usize::from(count(block))).sum::<usize>() + usize::from(count(rest))
}

#[cfg(test)]
mod tests {
    use super::super::Headers;
    use super::*;

    fn bad(lines: &[u8]) -> Option<BadLines> {
        Headers::received(lines, LineEnds::Lenient, 3).err()
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        for lines in [
            "a : 1\r\n\r\n",
            "a\t: 1\r\n\r\n",
            " a: 1\r\n\r\n",
            "a: 1\r\n 2\r\n\r\n",
            "a: 1\r\n\t2\r\n\r\n",
            ": 1\r\n\r\n",
            "a\r\n\r\n",
            "a(b): 1\r\n\r\n",
            "a\u{e9}: 1\r\n\r\n",
            "a: 1\rb: 2\r\n\r\n",
            "a: 1\r\r\n\r\n",
            "a:\r 1\r\n\r\n",
            "a: 1\r\n\r\r\n",
            "a: \0\r\n\r\n",
            "a: \u{7f}\r\n\r\n",
            "a:\u{b}1\r\n\r\n",
            "a: 1\u{c}\r\n\r\n",
            "a: 1\r\n",
            "a: 1\r\n\r\nb: 2\r\n\r\n",
            "a: 1\n\nb: 2\r\n\r\n",
            "",
        ] {
            assert_eq!(bad(lines.as_bytes()), Some(BadLines::Malformed), "{lines:?}");
        }
        let long = format!("a: {}\0{}\r\n\r\n", "b".repeat(2 * BLOCK), "c".repeat(BLOCK));
        assert_eq!(bad(long.as_bytes()), Some(BadLines::Malformed));
        assert_eq!(bad(b"a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n"), Some(BadLines::TooMany));
        assert_eq!(bad(b"a: 1\r\nb: 2\r\nc: \xff\t3\r\n\r\n"), None);
        assert_eq!(bad(b"\r\n"), None);
        assert_eq!(bad(b"a: 1\nb: 2\r\n\n"), None);
        for lines in [&b"a: 1\nb: 2\r\n\r\n"[..], b"a: 1\r\n\n", b"\n"] {
            let read = Headers::received(lines, LineEnds::Strict, 3);
            assert_eq!(read.err(), Some(BadLines::Malformed), "{lines:?}");
        }
    }
}
