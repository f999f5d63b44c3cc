//! Anthropic's `usage`, read without building a tree of it: it is in every answer, and twice in a stream.
//! Takes what a tree would give: the last of two equal keys, and any JSON in places nobody reads.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Anthropic, from_text, saturate};

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    InputTokens,
    CacheReadInputTokens,
    CacheCreationInputTokens,
    CacheCreation,
    OutputTokens,
    OutputTokensDetails,
    #[serde(rename = "ephemeral_5m_input_tokens")]
    FiveMinutes,
    #[serde(rename = "ephemeral_1h_input_tokens")]
    OneHour,
    ThinkingTokens,
    #[serde(other)]
    Other,
}

/// What is inside `cache_creation` or `output_tokens_details`.
#[derive(Default)]
struct Details {
    five_minutes: Option<u64>,
    one_hour: Option<u64>,
    thinking: Option<u64>,
}

/// A number of tokens, however it is written; `None` for what is no number.
struct Count(Option<u64>);

struct UsageVisitor;
struct DetailsVisitor;
struct CountVisitor;

impl<'de> Deserialize<'de> for Anthropic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UsageVisitor)
    }
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DetailsVisitor)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

impl<'de> Visitor<'de> for UsageVisitor {
    type Value = Anthropic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Anthropic, A::Error> {
        let mut usage = Anthropic::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::InputTokens => usage.input = map.next_value::<Count>()?.0,
                Key::CacheReadInputTokens => usage.cache_read = map.next_value::<Count>()?.0,
                Key::CacheCreationInputTokens => usage.cache_write = map.next_value::<Count>()?.0,
                Key::OutputTokens => usage.output = map.next_value::<Count>()?.0,
                Key::CacheCreation => {
                    let Details { five_minutes, one_hour, thinking: _ } = map.next_value()?;
                    (usage.cache_write_5m, usage.cache_write_1h) = (five_minutes, one_hour);
                }
                Key::OutputTokensDetails => usage.thinking = map.next_value::<Details>()?.thinking,
                Key::FiveMinutes | Key::OneHour | Key::ThinkingTokens | Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(usage)
    }
}

/// Anything but an object has no details.
impl<'de> Visitor<'de> for DetailsVisitor {
    type Value = Details;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Details, A::Error> {
        let mut details = Details::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::FiveMinutes => details.five_minutes = map.next_value::<Count>()?.0,
                Key::OneHour => details.one_hour = map.next_value::<Count>()?.0,
                Key::ThinkingTokens => details.thinking = map.next_value::<Count>()?.0,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(details)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Details, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Details::default())
    }

    fn visit_unit<E>(self) -> Result<Details, E> {
        Ok(Details::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Details, E> {
        Ok(Details::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Details, E> {
        Ok(Details::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Details, E> {
        Ok(Details::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Details, E> {
        Ok(Details::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Details, E> {
        Ok(Details::default())
    }
}

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
        Ok(Count(Some(number)))
    }

    /// Only negative ones come here.
    fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
        Ok(Count(Some(0)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Count, E> {
        Ok(Count(Some(saturate(number))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Count, E> {
        Ok(Count(from_text(text)))
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Anthropic> {
        Anthropic::parse(text.as_bytes())
    }

    #[test]
    fn every_counter_is_found_in_its_place_and_nowhere_else() {
        let usage = read(
            r#"{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":7,"output_tokens":9,
                "cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4,"x":[{}]},
                "output_tokens_details":{"thinking_tokens":5},"thinking_tokens":6,"service_tier":"standard"}"#,
        );
        let expected = Anthropic {
            input: Some(1),
            cache_read: Some(2),
            cache_write: Some(7),
            cache_write_5m: Some(3),
            cache_write_1h: Some(4),
            output: Some(9),
            thinking: Some(5),
        };
        assert_eq!(usage, Some(expected));
    }

    #[test]
    fn odd_values_are_read_as_a_tree_would_give_them() {
        let input = |text: &str| read(&format!(r#"{{"input_tokens":{text}}}"#)).map(|usage| usage.input);
        for (text, number) in [
            ("-1", Some(0)),
            ("1.9", Some(1)),
            ("99999999999999999999", Some(u64::MAX)),
            (r#"" 12 ""#, Some(12)),
            (r#""many""#, None),
            ("null", None),
            ("true", None),
            ("[1]", None),
            (r#"{"a":1}"#, None),
        ] {
            assert_eq!(input(text), Some(number), "{text}");
        }
        assert_eq!(read(r#"{"input_tokens":1,"input_\u0074okens":2}"#).unwrap().input, Some(2));
        assert_eq!(read(r#"{"cache_creation":"none","output_tokens":1}"#).unwrap().output, Some(1));
        assert_eq!(read("[1]"), None);
        assert_eq!(read(r#"{"input_tokens":1"#), None);
    }
}
