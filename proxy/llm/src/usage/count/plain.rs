//! Anthropic's `usage` in the shape in which it comes: no blanks, no escapes, whole numbers, objects in it that hold
//! no others. Three times as fast as the general reading, which every other shape is left to.

use super::Anthropic;
use crate::scan::is_plain;

/// Digits of a number that certainly fits.
const MOST_DIGITS: usize = 18;

/// What is left of the text. Every step is `None` for what is not of this shape.
struct Plain<'a>(&'a [u8]);

/// What is inside `cache_creation` or `output_tokens_details`.
#[derive(Default)]
struct Details {
    five_minutes: Option<u64>,
    one_hour: Option<u64>,
    thinking: Option<u64>,
}

/// The counters, as the general reading gives them; `None` if the text has another shape.
pub(super) fn read(text: &[u8]) -> Option<Anthropic> {
    let (mut plain, mut usage) = (Plain(text), Anthropic::default());
    plain.members(|plain, key| {
        match key {
            b"input_tokens" => plain.count(&mut usage.input)?,
            b"cache_read_input_tokens" => plain.count(&mut usage.cache_read)?,
            b"cache_creation_input_tokens" => plain.count(&mut usage.cache_write)?,
            b"output_tokens" => plain.count(&mut usage.output)?,
            b"cache_creation" => {
                let Details { five_minutes, one_hour, thinking: _ } = plain.details()?;
                (usage.cache_write_5m, usage.cache_write_1h) = (five_minutes, one_hour);
            }
            b"output_tokens_details" => usage.thinking = plain.details()?.thinking,
            _ => plain.skip()?,
        }
        Some(())
    })?;
    plain.0.is_empty().then_some(usage)
}

impl<'a> Plain<'a> {
    fn take(&mut self, word: &[u8]) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// An object; `each` steps over the value of a member.
    fn members(&mut self, mut each: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        if !self.take(b"{") {
            return None;
        }
        if self.take(b"}") {
            return Some(());
        }
        loop {
            let key = self.string()?;
            if !self.take(b":") {
                return None;
            }
            each(self, key)?;
            if self.take(b"}") {
                return Some(());
            }
            if !self.take(b",") {
                return None;
            }
        }
    }

    /// A string that is what it looks like.
    fn string(&mut self) -> Option<&'a [u8]> {
        let text = self.0.strip_prefix(b"\"")?;
        let length = text.iter().position(|byte| !is_plain(*byte)).filter(|at| text[*at] == b'"')?;
        self.0 = &text[length + 1..];
        Some(&text[..length])
    }

    /// A number of tokens, or none.
    fn count(&mut self, count: &mut Option<u64>) -> Option<()> {
        if self.take(b"null") {
            *count = None;
            return Some(());
        }
        let digits = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let (number, rest) = self.0.split_at(digits);
        if !(1..=MOST_DIGITS).contains(&digits) || (number[0] == b'0' && digits > 1) {
            return None;
        }
        self.0 = rest;
        *count = Some(number.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0')));
        Some(())
    }

    fn details(&mut self) -> Option<Details> {
        let mut details = Details::default();
        if self.take(b"null") {
            return Some(details);
        }
        self.members(|plain, key| {
            match key {
                b"ephemeral_5m_input_tokens" => plain.count(&mut details.five_minutes)?,
                b"ephemeral_1h_input_tokens" => plain.count(&mut details.one_hour)?,
                b"thinking_tokens" => plain.count(&mut details.thinking)?,
                _ => plain.skip_one()?,
            }
            Some(())
        })?;
        Some(details)
    }

    /// A value that nobody reads.
    fn skip(&mut self) -> Option<()> {
        match self.0.first()? {
            b'{' => self.members(|plain, _| plain.skip_one()),
            _ => self.skip_one(),
        }
    }

    fn skip_one(&mut self) -> Option<()> {
        match self.0.first()? {
            b'"' => self.string().map(drop),
            _ => self.count(&mut None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: &str = r#"{"input_tokens":18,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":null},"output_tokens":40,"output_tokens_details":{"thinking_tokens":5},"server_tool_use":{"web_search_requests":0},"service_tier":"standard"}"#;

    fn general(text: &str) -> Option<Anthropic> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn the_usual_shape_needs_no_general_reading() {
        assert_eq!(read(USUAL.as_bytes()).map(Some), Some(general(USUAL)));
        assert_eq!(read(b"{}"), Some(Anthropic::default()));
    }

    #[test]
    fn every_other_shape_is_left_to_the_general_reading() {
        for text in [
            r#"{ "input_tokens":1}"#,
            r#"{"input_tokens":1} "#,
            r#"{"input_tokens":"1"}"#,
            r#"{"input_tokens":1.5}"#,
            r#"{"input_tokens":-1}"#,
            r#"{"input_tokens":01}"#,
            r#"{"input_tokens":1000000000000000000}"#,
            r#"{"input_\u0074okens":1}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"b":{}}}"#,
            r#"{"input_tokens":1,}"#,
            r#"{"input_tokens":1"#,
            "",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_general_reading_gives(
            members in prop::collection::vec((
                prop::sample::select(vec![
                    "input_tokens", "output_tokens", "cache_creation", "output_tokens_details", "thinking_tokens",
                    "ephemeral_5m_input_tokens", "cache_read_input_tokens", "x", "\\n",
                ]),
                prop::sample::select(vec![
                    "1", "0", "07", "null", "true", "\"4\"", "\"\u{1}\"", "{}", "[]", "1e2", "99999999999999999999", "",
                    r#"{"ephemeral_5m_input_tokens":3,"thinking_tokens":4}"#, r#"{"thinking_tokens":null,"x":{}}"#,
                ]),
            ), 0..6),
            end in prop::sample::select(vec!["}", "}}", ",}", ""]),
        ) {
            let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let text = format!("{{{}{end}", members.join(","));
            if let Some(usage) = read(text.as_bytes()) {
                prop_assert_eq!(Some(usage), general(&text), "{}", text);
            }
        }
    }
}
