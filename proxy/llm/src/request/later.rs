//! The part of a body that nobody keeps: watched for a second model, which most providers would take
//! instead of the one that was decided on.
//! Never keeps more than a key; never changes a byte.

use memchr::memchr2;

/// `model` with every letter escaped (`\u006d…`): no longer key can mean it.
const LONGEST_KEY: usize = 30;

/// Follows a JSON body, piece by piece, from its first byte on.
#[derive(Debug)]
pub struct ModelWatch {
    depth: usize,
    in_string: bool,
    /// The byte before was a backslash, inside a string.
    escaped: bool,
    /// A string that comes next is a key of the outermost object.
    key_next: bool,
    /// Such a key, as far as it has come, as written.
    key: Option<Vec<u8>>,
}

impl ModelWatch {
    /// Behind `beginning`, the body's first bytes, whose models are known.
    pub fn after(beginning: &[u8]) -> Self {
        let mut watch = Self { depth: 0, in_string: false, escaped: false, key_next: false, key: None };
        watch.names_model(beginning);
        watch
    }

    /// Whether a top-level `model` ends in the next piece.
    pub fn names_model(&mut self, piece: &[u8]) -> bool {
        let (mut rest, mut found) = (piece, false);
        while let Some(&byte) = rest.first() {
            let length = if self.in_string { self.string(rest, &mut found) } else { self.outside(byte) };
            rest = &rest[length..];
        }
        found
    }

    /// One byte outside of strings.
    fn outside(&mut self, byte: u8) -> usize {
        match byte {
            b'"' => {
                self.in_string = true;
                self.key = (self.key_next && self.depth == 1).then(Vec::new);
                self.key_next = false;
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.key_next = true;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' => self.key_next = true,
            _ => {}
        }
        1
    }

    /// Goes on inside a string; returns how far.
    fn string(&mut self, rest: &[u8], found: &mut bool) -> usize {
        if std::mem::take(&mut self.escaped) {
            self.keep(&rest[..1]);
            return 1;
        }
        let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        self.keep(&rest[..end]);
        match rest.get(end) {
            None => return end,
            Some(b'\\') => {
                self.escaped = true;
                self.keep(b"\\");
            }
            Some(_) => {
                self.in_string = false;
                *found |= self.key.take().is_some_and(|key| is_model(&key));
            }
        }
        end + 1
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.key = self.key.take().filter(|key| key.len() + bytes.len() <= LONGEST_KEY).map(|mut key| {
            key.extend_from_slice(bytes);
            key
        });
    }
}

fn is_model(key: &[u8]) -> bool {
    let unescaped = || serde_json::from_slice::<String>(&[b"\"", key, b"\""].concat());
    key == b"model" || (key.contains(&b'\\') && unescaped().is_ok_and(|key| key == "model"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_model_is_seen_wherever_the_body_is_cut() {
        for marked in [
            r#"{"model":"a","messages":[{"content":"x"}],"model"^:"b"}"#,
            r#"{"messages":"\\", "mo\u0064el"^ : 1}"#,
            r#"{"x":{"y":[1,{"z":"}\""}]},"\u006d\u006f\u0064\u0065\u006c"^:"b"}"#,
        ] {
            let (body, end) = (marked.replace('^', ""), marked.find('^').unwrap());
            for cut in 9..body.len() {
                let mut watch = ModelWatch::after(&body.as_bytes()[..cut]);
                let seen = body.as_bytes()[cut..].iter().map(|byte| watch.names_model(&[*byte]));
                let expected = (cut..body.len()).map(|at| at + 1 == end);
                assert!(seen.eq(expected), "{body} cut at {cut}");
                let mut watch = ModelWatch::after(&body.as_bytes()[..cut]);
                assert_eq!(watch.names_model(&body.as_bytes()[cut..]), cut < end, "{body} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_model_that_is_nested_or_a_text_is_none() {
        for body in [
            r#"{"messages":[{"model":"b"},["model","b"]],"x":"model","y":"\",\"model\":"}"#,
            r#"{"models":1,"mode":2,"a model":3,"\u006d\u006f\u0064\u0065\u006c\u006c":4}"#,
        ] {
            assert!(!ModelWatch::after(b"").names_model(body.as_bytes()));
        }
    }
}
