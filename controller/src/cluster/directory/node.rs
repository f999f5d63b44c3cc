//! A YAML document in which every value knows its line.

use std::fmt;

use penstock_controller_core::validate::Step;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A value and the line where it begins, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: u64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    key: String,
    line: u64,
    value: Node,
}

impl Node {
    /// Reads one document.
    ///
    /// # Errors
    /// If it is not YAML, or repeats a key.
    pub(super) fn parse(document: &str) -> Result<Self, serde_saphyr::Error> {
        let options = serde_saphyr::options! {
            // `payloads: Off` is text, as in newer YAML, and not `false`.
            strict_booleans: true,
            // A snippet could show the value of a Secret.
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options::<Spanned<Content>>(document, options).map(Self::from)
    }

    /// The value without the lines.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
        }
    }

    /// The line of a field, or of the nearest that is there on the way to it.
    pub(super) fn line_of(&self, path: &[Step]) -> u64 {
        let (mut node, mut line) = (self, self.line);
        for step in path {
            let next = match (&node.content, step) {
                (Content::Map(entries), Step::Key(key)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| (&entry.value, entry.line))
                }
                (Content::List(items), Step::Index(at)) => items.get(*at).map(|item| (item, item.line)),
                _ => None,
            };
            let Some(next) = next else { break };
            (node, line) = next;
        }
        line
    }
}

impl From<Spanned<Content>> for Node {
    fn from(spanned: Spanned<Content>) -> Self {
        Self { line: spanned.referenced.line(), content: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Content>>()? {
            list.push(item.into());
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Content>>()? {
            map.push(Entry { key: key.value, line: key.referenced.line(), value: value.into() });
        }
        Ok(Content::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_knows_its_line() {
        let node = Node::parse("\n\na:\n  b: [1,\n    two]\n  c: Off\nd: \"7\"\n").unwrap();
        let key = |key: &str| Step::Key(key.into());
        for (path, line) in [
            (vec![key("a")], 3),
            (vec![key("a"), key("b")], 4),
            (vec![key("a"), key("b"), Step::Index(1)], 5),
            (vec![key("a"), key("c")], 6),
            (vec![key("a"), key("missing"), key("x")], 3),
            (vec![key("d")], 7),
        ] {
            assert_eq!(node.line_of(&path), line, "{path:?}");
        }
        assert_eq!(node.to_json(), serde_json::json!({"a": {"b": [1, "two"], "c": "Off"}, "d": "7"}));
    }
}
