//! The event that ends a stream which cannot be continued. Neither SDK notices a bare end.

use bytes::Bytes;
use penstock_proto::dialect::Dialect;
use serde::Serialize;

use crate::sse::Boundary;

use super::{OpenaiError, Problem, Wrapped, anthropic_error, openai_error, table, to_json};

/// Where a broken stream stands: what its last event must fit to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamTail {
    /// Whether the last line or event is unfinished.
    pub boundary: Boundary,
    /// Responses: the response's id; `None` = nothing of it was seen.
    pub response_id: Option<String>,
    /// Responses: its model.
    pub model: Option<String>,
    /// Responses: `created_at`, seconds since 1970.
    pub created_at: Option<u64>,
    /// Responses: the number of the last event.
    pub sequence_number: Option<u64>,
}

/// The bytes to append to a stream that broke, before it is closed; `[DONE]` or a closing event must not
/// follow. `None` is phrased like Chat Completions.
pub fn stream_error(dialect: Option<Dialect>, problem: &Problem, tail: &StreamTail) -> Bytes {
    let lead = match (tail.boundary, dialect) {
        (Boundary::Clean, _) => "",
        (Boundary::InEvent, _) => "\n",
        // Half an event cannot be taken back, but renamed: the SDKs skip a ping without looking into it.
        (Boundary::InLine, Some(Dialect::AnthropicMessages)) => "\nevent: ping\n\n",
        // Here its data fails to parse before the error is reached, which is no silent end either.
        (Boundary::InLine, _) => "\n\n",
    };
    let event = match dialect {
        Some(Dialect::AnthropicMessages) => {
            format!("event: error\ndata: {}\n\n", to_json(&anthropic_error(problem)))
        }
        Some(Dialect::OpenaiResponses) => response_event(problem, tail),
        Some(Dialect::OpenaiChat) | None => {
            format!("data: {}\n\n", to_json(&Wrapped { error: openai_error(problem) }))
        }
    };
    Bytes::from(format!("{lead}{event}"))
}

/// Nested, as the live API sends it, with flat copies, as it is documented. wire.md 3.5.
#[derive(Serialize)]
struct ErrorEvent<'a> {
    r#type: &'static str,
    sequence_number: u64,
    code: &'static str,
    message: String,
    param: Option<&'a str>,
    error: OpenaiError<'a>,
}

#[derive(Serialize)]
struct FailedEvent<'a> {
    r#type: &'static str,
    sequence_number: u64,
    response: FailedResponse<'a>,
}

/// All keys that the SDK's type requires. The output is empty: what was sent is the client's already.
#[derive(Serialize)]
struct FailedResponse<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    error: FailedDetail,
    incomplete_details: (),
    model: &'a str,
    output: [(); 0],
    parallel_tool_calls: bool,
    tool_choice: &'static str,
    tools: [(); 0],
    usage: (),
}

#[derive(Serialize)]
struct FailedDetail {
    code: &'static str,
    message: String,
}

fn response_event(problem: &Problem, tail: &StreamTail) -> String {
    let sequence_number = tail.sequence_number.map_or(0, |last| last.saturating_add(1));
    let (code, message) = (table::response_code(problem.kind), problem.text());
    let Some(id) = tail.response_id.as_deref() else {
        let error = OpenaiError { code: Some(code), ..openai_error(problem) };
        let param = problem.param.as_deref();
        let event = ErrorEvent { r#type: "error", sequence_number, code, message, param, error };
        return format!("event: error\ndata: {}\n\n", to_json(&event));
    };
    let response = FailedResponse {
        id,
        object: "response",
        created_at: tail.created_at.unwrap_or(0),
        status: "failed",
        error: FailedDetail { code, message },
        incomplete_details: (),
        model: tail.model.as_deref().unwrap_or_default(),
        output: [],
        parallel_tool_calls: true,
        tool_choice: "auto",
        tools: [],
        usage: (),
    };
    let event = FailedEvent { r#type: "response.failed", sequence_number, response };
    format!("event: response.failed\ndata: {}\n\n", to_json(&event))
}
