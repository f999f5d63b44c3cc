//! The lines of a head, as received: its text, and where in it each name and value is. Never joins lines, never
//! changes their order or a byte of a value. Names are kept in lower case, so that comparing two is comparing bytes.

use std::fmt;
use std::ops::Range;

use http::HeaderMap;

use super::split::{BadLines, LineEnds, split};

/// Room for lines of our own behind those received, bytes.
const ROOM: usize = 256;

/// Header lines in the order in which they came. `Debug` tells no value.
#[derive(Clone, Default)]
pub struct Headers {
    /// Lines as received, but for the case of names, and behind them what was added.
    text: Vec<u8>,
    places: Vec<Place>,
    /// A bit for each name that is here; see [`mark`].
    marks: u64,
}

/// Where a line is: `name` and `value` within it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    /// The line is exactly `name: value` and its end, so that it can be sent on in one piece.
    pub(super) is_plain: bool,
}

/// One line.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    text: &'a [u8],
    place: &'a Place,
}

impl Headers {
    /// Reads lines, up to and with the empty line at their end.
    pub fn received(lines: &[u8], ends: LineEnds, most: usize) -> Result<Self, BadLines> {
        let mut text = Vec::with_capacity(lines.len() + ROOM);
        text.extend_from_slice(lines);
        let places = split(&mut text, ends, most)?;
        let marks = places.iter().fold(0, |marks, place| marks | mark(&text[place.name.clone()]));
        Ok(Self { text, places, marks })
    }

    /// Adds a line behind the others. One that HTTP cannot carry is left out.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        if name.is_empty() || !name.bytes().all(is_token) || value.iter().any(|byte| is_control(*byte)) {
            return;
        }
        let start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        self.text[start..].make_ascii_lowercase();
        let name = start..self.text.len();
        self.marks |= mark(&self.text[start..]);
        self.text.extend_from_slice(b": ");
        let start = self.text.len();
        self.text.extend_from_slice(value);
        let value = start..self.text.len();
        self.text.extend_from_slice(b"\r\n");
        self.places.push(Place { name, value, is_plain: true });
    }

    /// Puts one line in place of all of this name.
    pub fn insert(&mut self, name: &str, value: &str) {
        if self.contains(name) {
            self.remove(name);
        }
        self.append(name, value.as_bytes());
    }

    /// Takes out all lines of this name, which is in lower case.
    pub fn remove(&mut self, name: &str) {
        self.retain(|held| held != name.as_bytes());
    }

    /// Keeps only the lines of these names.
    pub fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let Self { text, places, .. } = self;
        places.retain(|place| keep(&text[place.name.clone()]));
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.places.iter().map(|place| Field { text: &self.text, place })
    }

    /// The values of all lines of this name, which is in lower case.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let name = name.as_bytes();
        // Nearly all names that are asked for are not here, …
        let places = if self.marks & mark(name) == 0 { &[] } else { &self.places[..] };
        // … and nearly all that are here are of another length.
        let same =
            move |place: &&Place| place.name.len() == name.len() && self.text[place.name.clone()] == *name;
        places.iter().filter(same).map(|place| &self.text[place.value.clone()])
    }

    /// The value of the first line of this name, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The same, if it is plain ASCII.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(text)
    }

    /// Whether there is a line of this name, which is in lower case.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The items of all lists of this name, which is in lower case, in plain ASCII.
    pub fn items(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get_all(name).filter_map(text).flat_map(|list| list.split(',')).map(str::trim)
    }

    /// Appends the lines of these names to a head. Lines that lie side by side are copied together.
    pub fn put(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&[u8]) -> bool) {
        let mut run = 0..0;
        for field in self.iter().filter(|field| keep(field.name())) {
            let Some(line) = field.place.plain() else {
                out.extend_from_slice(&self.text[std::mem::take(&mut run)]);
                field.put(out);
                continue;
            };
            if run.end != line.start {
                out.extend_from_slice(&self.text[run.clone()]);
                run.start = line.start;
            }
            run.end = line.end;
        }
        out.extend_from_slice(&self.text[run]);
    }
}

impl Place {
    /// The whole line, if nothing in it needs to be changed to be sent on.
    fn plain(&self) -> Option<Range<usize>> {
        self.is_plain.then(|| self.name.start..self.value.end + 2)
    }
}

impl<'a> Field<'a> {
    /// Its name, in lower case.
    pub fn name(&self) -> &'a [u8] {
        &self.text[self.place.name.clone()]
    }

    /// Its value, without blanks around it.
    pub fn value(&self) -> &'a [u8] {
        &self.text[self.place.value.clone()]
    }

    /// The line as it is sent on, if that is how it came.
    pub fn plain(&self) -> Option<&'a [u8]> {
        self.place.plain().map(|line| &self.text[line])
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_line(out, self.name(), self.value());
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|field| String::from_utf8_lossy(field.name()));
        f.debug_list().entries(names).finish()
    }
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Self {
        let mut headers = Self { places: Vec::with_capacity(map.len()), ..Self::default() };
        for (name, value) in map {
            headers.append(name.as_str(), value.as_bytes());
        }
        headers
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(lines: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in lines {
            headers.append(name, value.as_bytes());
        }
        headers
    }
}

/// A value as text, if it is plain ASCII.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| text.is_ascii())
}

/// Appends a line to a head.
pub fn put_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// One bit of 64 for a name, so that one look tells of most names that they are not among the twenty of a head.
fn mark(name: &[u8]) -> u64 {
    let end = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(*byte));
    1 << ((name.len() + 5 * end(name.first()) + 11 * end(name.last())) % 64)
}

/// A character of a name (RFC 9110 section 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let (mut table, mut byte) = ([false; 256], 0_u8);
        while byte < 128 {
            table[byte as usize] = byte.is_ascii_graphic()
                && !matches!(byte, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}');
            byte += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

/// What no value holds: it could end the line. The tab is not one of them.
pub fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &Headers) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        headers.iter().map(|field| (text(field.name()), text(field.value()))).collect()
    }

    #[test]
    fn lines_stay_apart_and_in_order_and_names_are_found_in_whatever_case_they_came() {
        let head = b"X-B: 1\r\nx-A: 2\r\nX-b:  Three \r\nx-empty:\r\n\r\n";
        let mut headers = Headers::received(head, LineEnds::Strict, 4).unwrap();
        assert_eq!(pairs(&headers), [("x-b", "1"), ("x-a", "2"), ("x-b", "Three"), ("x-empty", "")]);
        assert_eq!(headers.get_all("x-b").collect::<Vec<_>>(), [&b"1"[..], b"Three"]);
        assert_eq!((headers.get("x-empty"), headers.get("x-c")), (Some(&b""[..]), None));
        headers.insert("x-b", "4");
        assert_eq!(pairs(&headers), [("x-a", "2"), ("x-empty", ""), ("x-b", "4")]);
    }

    #[test]
    fn lines_are_sent_on_in_one_shape_however_they_came() {
        let head =
            b"X-A: 1\r\nx-b:2\r\nx-c: 3 \r\nx-d:\t4\r\nx-e: 5\r\nx-f: 6\r\nx-g: 7\nx-h: 8\r\nx-i:\r\nx-k: 9 \n\r\n";
        let mut headers = Headers::received(head, LineEnds::Lenient, 10).unwrap();
        headers.append("X-J", b"10");
        let mut out = b"first\r\n".to_vec();
        headers.put(&mut out, |name| name != b"x-e");
        let sent = "first\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\nx-d: 4\r\nx-f: 6\r\nx-g: 7\r\nx-h: 8\r\nx-i: \r\nx-k: 9\r\nx-j: 10\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), sent);
        let plain: Vec<_> =
            headers.iter().filter(|field| field.plain().is_some()).map(|field| field.value()).collect();
        assert_eq!(plain, [&b"1"[..], b"5", b"6", b"8", b"10"]);
    }

    #[test]
    fn what_would_end_a_line_is_left_out() {
        let lines = [
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "\0"),
            ("x:y", "z"),
            ("", "z"),
            ("x\r\ny", "z"),
            ("x", "\u{7f}"),
        ];
        assert!(lines.into_iter().collect::<Headers>().is_empty());
        let kept: Headers = [("X", "a\tb \u{e9}")].into_iter().collect();
        assert_eq!((pairs(&kept), kept.text("x")), (vec![("x", "a\tb \u{e9}")], None));
    }

    #[test]
    fn a_list_has_the_items_of_all_its_lines() {
        let headers: Headers = [("via", "a, b"), ("x", "y"), ("via", "c")].into_iter().collect();
        assert_eq!(headers.items("via").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn no_value_is_told_by_debug() {
        let headers: Headers = [("authorization", "Bearer secret")].into_iter().collect();
        assert_eq!(format!("{headers:?}"), r#"["authorization"]"#);
    }
}
