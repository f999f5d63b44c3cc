//! The lines of a head, as received: the names as one piece of text, the values as another, and where in them each
//! is. Never joins lines, never changes their order or a byte of a value. Names are kept in lower case, so that
//! comparing two is comparing bytes.

use std::fmt;
use std::ops::Range;

use http::HeaderMap;

/// Header lines in the order in which they came. `Debug` tells no value.
#[derive(Clone, Default)]
pub struct Headers {
    names: String,
    /// The head as received, and behind it what was added.
    values: Vec<u8>,
    places: Vec<Place>,
}

/// Where a line's parts are.
#[derive(Clone)]
struct Place {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// The lines that a parser found in a head: values are parts of `head`.
    pub fn received<'h>(head: &'h [u8], lines: impl Iterator<Item = (&'h str, &'h [u8])>) -> Self {
        let mut names = String::with_capacity(head.len());
        let places = lines.map(|(name, value)| {
            let start = value.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
            let value = start..start.wrapping_add(value.len());
            Place { name: push(&mut names, name), value }
        });
        let places = places.collect();
        names.make_ascii_lowercase();
        Self { names, values: head.to_vec(), places }
    }

    /// Adds a line behind the others. One that HTTP cannot carry is left out.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        if name.is_empty() || !name.bytes().all(is_token) || !value.iter().all(|byte| is_carried(*byte)) {
            return;
        }
        let name = push(&mut self.names, name);
        self.names[name.start..].make_ascii_lowercase();
        let start = self.values.len();
        self.values.extend_from_slice(value);
        self.places.push(Place { name, value: start..self.values.len() });
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
        self.retain(|held| held != name);
    }

    /// Keeps only the lines of these names.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Self { names, places, .. } = self;
        places.retain(|place| keep(place.name(names)));
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Every line: its name, in lower case, and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places.iter().map(|place| (place.name(&self.names), place.value(&self.values)))
    }

    /// The values of all lines of this name, which is in lower case.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        // Nearly all names are of another length.
        let same = move |place: &&Place| {
            place.name.end - place.name.start == name.len() && place.name(&self.names) == name
        };
        self.places.iter().filter(same).map(|place| place.value(&self.values))
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
}

impl Place {
    fn name<'n>(&self, names: &'n str) -> &'n str {
        names.get(self.name.clone()).unwrap_or_default()
    }

    /// What a parser says of a head lies within it; anything else is nothing.
    fn value<'v>(&self, values: &'v [u8]) -> &'v [u8] {
        values.get(self.value.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
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

fn push(names: &mut String, name: &str) -> Range<usize> {
    let start = names.len();
    names.push_str(name);
    start..names.len()
}

/// A character of a name (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let (mut table, mut byte) = ([false; 256], 0_u8);
        while byte < 128 {
            table[byte as usize] = byte.is_ascii_graphic()
                && !matches!(byte, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}');
            byte += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

/// A character of a value: no control character could end the line, and the tab is none.
fn is_carried(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &Headers) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name, std::str::from_utf8(value).unwrap())).collect()
    }

    #[test]
    fn lines_stay_apart_and_in_order_and_names_are_found_in_whatever_case_they_came() {
        let head = b"X-B: 1\r\nx-A: 2\r\nX-b:  Three \r\nx-empty:\r\n";
        let lines = [("X-B", 5..6), ("x-A", 13..14), ("X-b", 22..27), ("x-empty", 38..38)];
        let lines = lines.map(|(name, at)| (name, &head[at]));
        let mut headers = Headers::received(head, lines.into_iter());
        assert_eq!(pairs(&headers), [("x-b", "1"), ("x-a", "2"), ("x-b", "Three"), ("x-empty", "")]);
        assert_eq!(headers.get_all("x-b").collect::<Vec<_>>(), [&b"1"[..], b"Three"]);
        assert_eq!((headers.get("x-empty"), headers.get("x-c")), (Some(&b""[..]), None));
        headers.insert("x-b", "4");
        assert_eq!(pairs(&headers), [("x-a", "2"), ("x-empty", ""), ("x-b", "4")]);
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
