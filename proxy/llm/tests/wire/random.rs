//! Random JSON, written in every way that JSON may be written.

use proptest::prelude::*;

/// An object's text, with the keys that matter and others like them, at the top and nested.
pub(crate) fn body() -> impl Strategy<Value = String> {
    (blank(), object(value()), blank()).prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string(),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
    ];
    leaf.prop_recursive(4, 40, 6, |inner| prop_oneof![array(inner.clone()), object(inner)])
}

fn array(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((blank(), inner, blank()), 0..5).prop_map(|items| {
        let items: Vec<_> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
        format!("[{}]", items.join(","))
    })
}

fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (blank(), key(), blank(), blank(), inner, blank());
    prop::collection::vec(member, 0..6).prop_map(|members| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "model",
        "mod\\u0065l",
        "stream",
        "messages",
        "input",
        "system",
        "metadata",
        "user_id",
        "role",
        "content",
        "text",
        "prompt_cache_key",
        "previous_response_id",
        "conversation",
        "id",
        "max_tokens",
        "Model",
        "model ",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(|key| format!("\"{key}\"")), string()]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\\\"".to_owned()),
        Just("\\\\".to_owned()),
        Just("\\n".to_owned()),
        Just("\\u00e9".to_owned()),
        Just("\\ud83d\\ude00".to_owned()),
        Just("{\\\"model\\\":[".to_owned()),
        Just("user".to_owned()),
        Just("}]{[:,".to_owned()),
        "[^\"\\\\\\x00-\\x1f]{0,12}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}
