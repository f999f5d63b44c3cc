//! `OpenAI`'s manners: Chat Completions, Responses, embeddings, models.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    ask::Ask,
    ids::Ids,
    json::{Raw, object},
    reply::Failure,
};

pub(crate) mod chat;
mod errors;
mod headers;
pub(crate) mod responses;

pub(crate) use errors::{chat_error_event, phrase, response_failed, responses_error_event};
pub(crate) use headers::{common as common_headers, headers};

/// Numbers of a vector unless `dimensions` asks for another count.
const DIMENSIONS: u64 = 64;
/// More is refused.
const MOST_DIMENSIONS: u64 = 3_072;

/// Refuses a body without one of these fields.
pub(crate) fn require(ask: &Ask<'_>, fields: &[&'static str]) -> Result<(), Failure> {
    match fields.iter().find(|field| !ask.has(field)) {
        None => Ok(()),
        Some(field) => Err(Failure::Invalid {
            message: format!("Missing required parameter: '{field}'."),
            param: Some(field),
        }),
    }
}

/// The list of models.
pub(crate) fn models(ids: &[String]) -> Raw {
    let all: Vec<Raw> = ids.iter().map(|id| model(id)).collect();
    object! { "object": "list", "data": all }
}

/// One model.
pub(crate) fn model(id: &str) -> Raw {
    object! { "id": id, "object": "model", "created": 1_770_000_000, "owned_by": "system" }
}

/// `{"object":"response.input_tokens","input_tokens":N}`
pub(crate) fn input_tokens(ask: &Ask<'_>) -> Raw {
    object! { "object": "response.input_tokens", "input_tokens": ask.tokens() }
}

/// A vector for each input, as numbers or base64 of 32-bit floats.
pub(crate) fn embeddings(ask: &Ask<'_>, ids: &mut Ids) -> Result<Raw, Failure> {
    require(ask, &["model", "input"])?;
    let count = match ask.value("input") {
        Some(serde_json::Value::Array(inputs)) if inputs.iter().any(|i| !i.is_number()) => inputs.len(),
        _ => 1,
    };
    let dimensions = ask.value("dimensions").and_then(|value| value.as_u64()).unwrap_or(DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(Failure::Invalid {
            message: "Invalid value for 'dimensions'.".into(),
            param: Some("dimensions"),
        });
    }
    let as_text = ask.text("encoding_format").as_deref() == Some("base64");
    let data: Vec<Raw> = (0..count)
        .map(|index| {
            let vector = vector(dimensions, ids);
            let embedding = if as_text { encoded(&vector) } else { numbers(&vector) };
            object! { "object": "embedding", "index": index, "embedding": embedding }
        })
        .collect();
    let usage = object! { "prompt_tokens": ask.tokens(), "total_tokens": ask.tokens() };
    Ok(object! { "object": "list", "data": data, "model": ask.model(), "usage": usage })
}

/// Numbers in [-1, 1) with few digits, so that both spellings are the same value.
fn vector(dimensions: u64, ids: &mut Ids) -> Vec<f32> {
    (0..dimensions).map(|_| f32::from(i16::try_from(ids.below(2048)).unwrap_or(0) - 1024) / 1024.0).collect()
}

fn encoded(vector: &[f32]) -> Raw {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    crate::json::raw(&STANDARD.encode(bytes))
}

fn numbers(vector: &[f32]) -> Raw {
    let numbers: Vec<f64> = vector.iter().map(|number| f64::from(*number)).collect();
    crate::json::raw(&numbers)
}
