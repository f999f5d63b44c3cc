//! Which tool is to be called, and with what. Calls nothing that the request does not offer.

use serde_json::Value;

use super::Ask;
use crate::{
    ids::Ids,
    json::{Object, Raw, array, object, raw},
};

/// How a user asks for a tool.
const WORDS: &str = "use the tool";
/// Schemas may refer to themselves; deeper than this, objects stay empty.
const DEEPEST: u8 = 6;

/// A tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// A JSON object.
    pub(crate) arguments: String,
}

/// Whether a call is demanded.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Free,
    Any,
    This(String),
}

/// The call that `text` or `tool_choice` asks for, if any.
pub(super) fn call(ask: &Ask<'_>, text: &str, ids: &mut Ids) -> Option<Call> {
    let words_at = text.to_ascii_lowercase().find(WORDS);
    let choice = choice(ask);
    if words_at.is_none() && choice == Choice::Free {
        return None;
    }
    let tools = ask.value("tools")?;
    let mut functions = tools.as_array()?.iter().filter_map(function);
    let rest = words_at.map_or("", |at| &text[at + WORDS.len()..]);
    let wanted = match choice {
        Choice::This(name) => Some(name),
        Choice::Any | Choice::Free => rest.split_whitespace().next().map(ToOwned::to_owned),
    };
    let (name, schema) =
        functions.clone().find(|(name, _)| Some(*name) == wanted.as_deref()).or_else(|| functions.next())?;
    let arguments = given(rest).unwrap_or_else(|| fitting(schema, ids, DEEPEST).0);
    Some(Call { name: name.to_owned(), arguments })
}

/// What `tool_choice` demands.
fn choice(ask: &Ask<'_>) -> Choice {
    let Some(choice) = ask.value("tool_choice") else { return Choice::Free };
    let kind = choice.as_str().or_else(|| choice["type"].as_str());
    let name = choice["name"].as_str().or_else(|| choice["function"]["name"].as_str());
    match (kind, name) {
        (Some("tool" | "function"), Some(name)) => Choice::This(name.to_owned()),
        (Some("any" | "tool" | "required" | "function"), _) => Choice::Any,
        _ => Choice::Free,
    }
}

/// Name and schema of a function in any of the three spellings.
fn function(tool: &Value) -> Option<(&str, &Value)> {
    match tool["type"].as_str() {
        Some("function") if tool["function"].is_object() => {
            Some((tool["function"]["name"].as_str()?, &tool["function"]["parameters"]))
        }
        Some("function") => Some((tool["name"].as_str()?, &tool["parameters"])),
        Some("custom") | None if tool["input_schema"].is_object() => {
            Some((tool["name"].as_str()?, &tool["input_schema"]))
        }
        _ => None,
    }
}

/// The JSON object after `with`, as it stands there.
fn given(rest: &str) -> Option<String> {
    let from = &rest[rest.find("with")?..];
    let json = &from[from.find('{')?..];
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    values.next()?.ok()?;
    Some(json[..values.byte_offset()].to_owned())
}

/// A value that a schema accepts, roughly: the first of an enumeration, an example string, a small number,
/// the required properties.
fn fitting(schema: &Value, ids: &mut Ids, depth: u8) -> Raw {
    if let Some(value) =
        schema.get("const").or_else(|| schema["enum"].get(0)).or_else(|| schema.get("default"))
    {
        return Raw(value.to_string());
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("string") => raw(&format!("example-{}", ids.below(1000))),
        Some("integer" | "number") => raw(&(schema["minimum"].as_u64().unwrap_or(1))),
        Some("boolean") => raw(&true),
        Some("array") if depth > 0 && schema["minItems"].as_u64() > Some(0) => {
            array![fitting(&schema["items"], ids, depth - 1)]
        }
        Some("array") => array![],
        Some("null") => Raw("null".to_owned()),
        _ => match schema["anyOf"].get(0).or_else(|| schema["oneOf"].get(0)) {
            Some(first) if depth > 0 => fitting(first, ids, depth - 1),
            _ => required(schema, ids, depth),
        },
    }
}

fn required(schema: &Value, ids: &mut Ids, depth: u8) -> Raw {
    let names = schema["required"].as_array().filter(|_| depth > 0);
    let mut made = Object::default();
    for name in names.into_iter().flatten().filter_map(Value::as_str) {
        made.push(name, &fitting(&schema["properties"][name], ids, depth - 1));
    }
    if names.is_none_or(Vec::is_empty) {
        object! {}
    } else {
        made.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str, rest: &str) -> Option<Call> {
        let body = format!(
            r#"{{"tools":[{{"name":"look","input_schema":{{"type":"object","properties":{{"city":{{"type":"string"}},"days":{{"type":"integer"}},"unit":{{"enum":["c","f"]}}}},"required":["city","unit"]}}}},{{"type":"function","name":"run","parameters":{{}}}},{{"type":"function","function":{{"name":"go","parameters":{{}}}}}}]{rest}}}"#
        );
        call(&Ask::parse(body.as_bytes()).unwrap(), text, &mut Ids::new(1, 1))
    }

    #[test]
    fn the_first_tool_is_called_with_arguments_that_fit() {
        let call = asked("Please USE THE TOOL.", "").unwrap();
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
        assert_eq!(call.name, "look");
        assert!(arguments["city"].is_string() && arguments["unit"] == "c" && arguments.get("days").is_none());
    }

    #[test]
    fn a_tool_and_its_arguments_can_be_named() {
        let call = asked(r#"use the tool run with {"command": ["ls", "{}"]} please"#, "").unwrap();
        assert_eq!((call.name.as_str(), call.arguments.as_str()), ("run", r#"{"command": ["ls", "{}"]}"#));
    }

    #[test]
    fn a_forced_choice_needs_no_words() {
        assert_eq!(asked("hi", ""), None);
        assert_eq!(asked("hi", r#","tool_choice":"auto""#), None);
        assert_eq!(
            asked("hi", r#","tool_choice":{"type":"function","function":{"name":"go"}}"#).unwrap().name,
            "go"
        );
        assert_eq!(asked("hi", r#","tool_choice":{"type":"any"}"#).unwrap().name, "look");
    }
}
