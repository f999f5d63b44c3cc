//! What was asked: the parts of a request body that decide its answer.
//! Looks at the top level and at the end of the conversation; the rest of the body is not read.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use crate::{ids::Ids, route::Dialect};

mod tools;

pub(crate) use tools::Call;

/// A request body, cut into its top-level fields.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    fields: BTreeMap<String, &'a RawValue>,
    bytes: usize,
}

/// Whose turn it is, and what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Answer this text.
    Text(String),
    /// Call a tool.
    Call(Call),
    /// A tool answered this: finish.
    Answered(String),
}

/// What came last in a conversation.
enum Last {
    User(String),
    ToolResult(String),
}

impl<'a> Ask<'a> {
    /// Reads a JSON object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        Ok(Self { fields: serde_json::from_slice(body)?, bytes: body.len() })
    }

    /// Tokens of the whole request: its bytes ÷ 4, rounded up.
    pub(crate) fn tokens(&self) -> u64 {
        (self.bytes as u64).div_ceil(4)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|raw| raw.get() != "null")
    }

    /// The text of a field, as sent.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.fields.get(key).map(|raw| raw.get())
    }

    /// Whether any field holds this text.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.fields.values().any(|raw| memchr::memmem::find(raw.get().as_bytes(), text.as_bytes()).is_some())
    }

    pub(crate) fn value(&self, key: &str) -> Option<Value> {
        serde_json::from_str(self.raw(key)?).ok()
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.raw(key)?).ok()
    }

    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.raw(key) == Some("true")
    }

    pub(crate) fn model(&self) -> String {
        self.text("model").unwrap_or_default()
    }

    /// Decides what the answer is to be. The arguments of a call are drawn from its schema.
    pub(crate) fn turn(&self, dialect: Dialect, ids: &mut Ids) -> Turn {
        let last = match dialect {
            Dialect::Anthropic | Dialect::OpenAi => self.last_of("messages", message),
            Dialect::Responses | Dialect::Codex => match self.text("input") {
                Some(text) => Some(Last::User(text)),
                None => self.last_of("input", item),
            },
        };
        match last {
            Some(Last::ToolResult(result)) => Turn::Answered(result),
            Some(Last::User(text)) => match tools::call(self, &text, ids) {
                Some(call) => Turn::Call(call),
                None => Turn::Text(text),
            },
            None => Turn::Text(String::new()),
        }
    }

    fn last_of(&self, key: &str, read: fn(&Value) -> Option<Last>) -> Option<Last> {
        let list: Vec<&RawValue> = serde_json::from_str(self.raw(key)?).ok()?;
        list.iter()
            .rev()
            .filter_map(|raw| serde_json::from_str(raw.get()).ok())
            .find_map(|value| read(&value))
    }
}

/// A message of Anthropic's or of Chat Completions.
fn message(value: &Value) -> Option<Last> {
    let content = &value["content"];
    match value["role"].as_str()? {
        "tool" => Some(Last::ToolResult(last_text(content))),
        "user" => {
            let mut results = content.as_array().into_iter().flatten();
            match results.rfind(|block| block["type"] == "tool_result") {
                Some(result) => Some(Last::ToolResult(last_text(&result["content"]))),
                None => Some(Last::User(last_text(content))),
            }
        }
        _ => None,
    }
}

/// An input item of Responses.
fn item(value: &Value) -> Option<Last> {
    match value["type"].as_str().unwrap_or("message") {
        "function_call_output" | "custom_tool_call_output" => {
            Some(Last::ToolResult(last_text(&value["output"])))
        }
        "message" if value["role"] == "user" => Some(Last::User(last_text(&value["content"]))),
        _ => None,
    }
}

/// A string, or the last text of a list of parts: clients put their own remarks before what the user said.
fn last_text(content: &Value) -> String {
    let text = match content {
        Value::String(text) => Some(text.as_str()),
        Value::Array(parts) => parts.iter().rev().find_map(|part| part["text"].as_str()),
        _ => None,
    };
    text.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(dialect: Dialect, body: &str) -> Turn {
        Ask::parse(body.as_bytes()).unwrap().turn(dialect, &mut Ids::new(1, 1))
    }

    #[test]
    fn the_last_user_text_is_what_was_asked() {
        for (dialect, body) in [
            (Dialect::Anthropic, r#"{"messages":[{"role":"user","content":"hi"}]}"#),
            (
                Dialect::Anthropic,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"note"},{"type":"text","text":"hi"}]},{"role":"system","content":"x"}]}"#,
            ),
            (
                Dialect::OpenAi,
                r#"{"messages":[{"role":"user","content":"old"},{"role":"assistant","content":"a"},{"role":"user","content":"hi"}]}"#,
            ),
            (Dialect::Responses, r#"{"input":"hi"}"#),
            (
                Dialect::Codex,
                r#"{"input":[{"role":"developer","content":"d"},{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#,
            ),
        ] {
            assert_eq!(turn(dialect, body), Turn::Text("hi".into()), "{body}");
        }
    }

    #[test]
    fn a_tool_result_ends_the_round() {
        for (dialect, body) in [
            (
                Dialect::Anthropic,
                r#"{"messages":[{"role":"user","content":"use the tool"},{"role":"assistant","content":[]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"42"}]}],"tools":[{"name":"f"}]}"#,
            ),
            (
                Dialect::OpenAi,
                r#"{"messages":[{"role":"user","content":"use the tool"},{"role":"tool","tool_call_id":"c","content":"42"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
            ),
            (
                Dialect::Responses,
                r#"{"input":[{"role":"user","content":"use the tool"},{"type":"function_call_output","call_id":"c","output":"42"}],"tools":[{"type":"function","name":"f"}]}"#,
            ),
        ] {
            assert_eq!(turn(dialect, body), Turn::Answered("42".into()), "{body}");
        }
    }
}
