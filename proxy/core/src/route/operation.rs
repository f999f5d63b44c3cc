//! Paths of the providers' own APIs: which operation and dialect they are.

use std::borrow::Cow;

use penstock_proto::dialect::Dialect;

use super::{Family, Operation, Route, Selector};
use crate::headers::Headers;

/// What a provider's own path asks for, with or without its `/v1`.
pub(super) fn of_suffix(path: &str) -> (Operation, Option<Dialect>) {
    const A: Option<Dialect> = Some(Dialect::AnthropicMessages);
    const C: Option<Dialect> = Some(Dialect::OpenaiChat);
    const R: Option<Dialect> = Some(Dialect::OpenaiResponses);
    match path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path) {
        "/messages" => (Operation::Messages, A),
        "/messages/count_tokens" => (Operation::CountTokens, A),
        "/chat/completions" => (Operation::ChatCompletions, C),
        "/responses" => (Operation::Responses, R),
        "/responses/compact" => (Operation::Compact, R),
        "/embeddings" => (Operation::Embeddings, C),
        rest if rest == "/models" || rest.starts_with("/models/") => (Operation::Models, None),
        _ => (Operation::Other, None),
    }
}

/// Routes for clients whose base URL is just the host.
pub(super) fn by_path(path: &str, query: Option<&str>, headers: &Headers) -> Option<Route> {
    if path == "/" || path.is_empty() {
        // Claude Code asks `HEAD /` when it starts: ordinary traffic to an Anthropic account.
        return Some(other(Family::Anthropic, "/"));
    }
    if let Some(rest) = path.strip_prefix("/backend-api/codex/") {
        return Some(codex(&format!("/{rest}")));
    }
    let rest = match path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')) {
        Some(rest) => rest,
        // Codex asks `{base_url}/responses`, whatever base URL it is given.
        None if path == "/responses" || path.starts_with("/responses/") => path,
        None => return None,
    };
    let (operation, dialect) = of_suffix(rest);
    let known = |path| Some(Route { dialect, operation, selector: Selector::ByModel, path });
    match operation {
        Operation::Messages => known(Cow::Borrowed("/v1/messages")),
        Operation::CountTokens => known(Cow::Borrowed("/v1/messages/count_tokens")),
        Operation::ChatCompletions => known(Cow::Borrowed("/chat/completions")),
        Operation::Responses => known(Cow::Borrowed("/responses")),
        Operation::Compact => known(Cow::Borrowed("/responses/compact")),
        Operation::Embeddings => known(Cow::Borrowed("/embeddings")),
        Operation::Models => Some(models(rest, query, headers)),
        // Batches, stored answers and the like live on an account of the vendor whose path it is.
        Operation::Other if below(rest, "/messages") => Some(other(Family::Anthropic, path)),
        Operation::Other if below(rest, "/files") && asks_anthropic(headers) => {
            Some(other(Family::Anthropic, path))
        }
        Operation::Other
            if ["/responses", "/chat/completions", "/files", "/batches"].iter().any(|p| below(rest, p)) =>
        {
            Some(other(Family::Openai, rest))
        }
        Operation::Other => None,
    }
}

/// `GET /v1/models[/{id}]` is shared by both vendors: the headers say which shape is expected.
fn models(rest: &str, query: Option<&str>, headers: &Headers) -> Route {
    if query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("client_version="))) {
        return codex(rest);
    }
    let (dialect, family, path) = if asks_anthropic(headers) {
        (Dialect::AnthropicMessages, Family::Anthropic, format!("/v1{rest}"))
    } else {
        (Dialect::OpenaiChat, Family::Openai, rest.to_owned())
    };
    Route {
        dialect: Some(dialect),
        operation: Operation::Models,
        selector: Selector::Family(family),
        path: Cow::Owned(path),
    }
}

fn asks_anthropic(headers: &Headers) -> bool {
    let has = |name: &str| headers.contains(name);
    has("anthropic-version") || has("anthropic-beta") || (has("x-api-key") && !has("authorization"))
}

fn codex(path: &str) -> Route {
    let (operation, _) = of_suffix(path);
    Route {
        dialect: Some(Dialect::OpenaiResponses),
        operation,
        selector: Selector::Provider("codex".into()),
        path: Cow::Owned(path.to_owned()),
    }
}

fn other(family: Family, path: &str) -> Route {
    Route {
        dialect: None,
        operation: Operation::Other,
        selector: Selector::Family(family),
        path: Cow::Owned(path.to_owned()),
    }
}

fn below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
