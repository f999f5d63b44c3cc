//! Another model name in a request body, without copying the body.

use bytes::Bytes;

use crate::request::ModelSpan;

/// The body with `model` in place of the model that was scanned in it, as pieces to send one after the
/// other: all bytes but those of the model's JSON strings are the client's, and shared, not copied.
///
/// Every top-level `model` member is replaced, so that readers that take the first and readers that take
/// the last one agree.
pub fn splice(body: &Bytes, span: &ModelSpan, model: &str) -> Vec<Bytes> {
    let name = Bytes::from(serde_json::Value::from(model).to_string());
    let mut pieces = Vec::with_capacity(3 + 2 * span.shadowed.len());
    let mut from = 0;
    for range in span.shadowed.iter().chain([&span.range]) {
        pieces.push(body.slice(from..range.start));
        pieces.push(name.clone());
        from = range.end;
    }
    pieces.push(body.slice(from..));
    pieces
}
