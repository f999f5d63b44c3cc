//! Which provider and operation a path means. Reads paths and header names only.

use http::{HeaderMap, Method};

/// Whose manners the answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Anthropic,
    /// Chat Completions, embeddings, models.
    OpenAi,
    /// `OpenAI`'s Responses.
    Responses,
    /// The Codex backend's Responses.
    Codex,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Messages,
    CountTokens,
    Chat,
    Responses,
    Compact,
    InputTokens,
    Embeddings,
    Models,
    Model(String),
    /// A subscription's windows (`/api/oauth/usage`).
    Usage,
    Unknown,
}

/// A path understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) dialect: Dialect,
    pub(crate) operation: Operation,
    /// The path without the provider's prefix, `/v1` and all.
    pub(crate) path: String,
}

/// Reads a path. `/anthropic`, `/openai` and `/codex` say whose it is; without them, the path itself does.
pub(crate) fn route(method: &Method, path: &str, headers: &HeaderMap) -> Route {
    for prefix in ["/backend-api/codex", "/codex"] {
        if let Some(rest) = strip(path, prefix) {
            return Route { dialect: Dialect::Codex, operation: codex(method, rest), path: rest.to_owned() };
        }
    }
    if let Some(rest) = strip(path, "/anthropic") {
        return anthropic(method, rest);
    }
    if let Some(rest) = strip(path, "/openai") {
        return openai(method, rest);
    }
    let is_anthropics = path.starts_with("/v1/messages")
        || path.starts_with("/api/")
        || headers.contains_key("anthropic-version")
        || path == "/";
    if is_anthropics { anthropic(method, path) } else { openai(method, path) }
}

fn strip<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(if rest.is_empty() { "/" } else { rest })
}

fn anthropic(method: &Method, path: &str) -> Route {
    let operation = match (method.as_str(), path) {
        ("POST", "/v1/messages") => Operation::Messages,
        ("POST", "/v1/messages/count_tokens") => Operation::CountTokens,
        ("GET", "/v1/models") => Operation::Models,
        ("GET", "/api/oauth/usage") => Operation::Usage,
        ("GET", path) => model(path, "/v1/models/"),
        _ => Operation::Unknown,
    };
    Route { dialect: Dialect::Anthropic, operation, path: path.to_owned() }
}

fn openai(method: &Method, path: &str) -> Route {
    let (dialect, operation) = match (method.as_str(), path) {
        ("POST", "/v1/chat/completions") => (Dialect::OpenAi, Operation::Chat),
        ("POST", "/v1/responses") => (Dialect::Responses, Operation::Responses),
        ("POST", "/v1/responses/compact") => (Dialect::Responses, Operation::Compact),
        ("POST", "/v1/responses/input_tokens") => (Dialect::Responses, Operation::InputTokens),
        ("POST", "/v1/embeddings") => (Dialect::OpenAi, Operation::Embeddings),
        ("GET", "/v1/models") => (Dialect::OpenAi, Operation::Models),
        ("GET", path) => (Dialect::OpenAi, model(path, "/v1/models/")),
        _ => (Dialect::OpenAi, Operation::Unknown),
    };
    Route { dialect, operation, path: path.to_owned() }
}

fn codex(method: &Method, path: &str) -> Operation {
    match (method.as_str(), path) {
        ("POST", "/responses") => Operation::Responses,
        ("POST", "/responses/compact") => Operation::Compact,
        ("GET", "/models") => Operation::Models,
        _ => Operation::Unknown,
    }
}

fn model(path: &str, prefix: &str) -> Operation {
    match path.strip_prefix(prefix) {
        Some(id) if !id.is_empty() => Operation::Model(id.to_owned()),
        _ => Operation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_base_url_of_the_providers_leads_to_its_operations() {
        let plain = HeaderMap::new();
        let mut anthropics = HeaderMap::new();
        anthropics.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
        for (method, path, headers, dialect, operation) in [
            (Method::POST, "/anthropic/v1/messages", &plain, Dialect::Anthropic, Operation::Messages),
            (Method::POST, "/v1/messages", &plain, Dialect::Anthropic, Operation::Messages),
            (Method::POST, "/v1/messages/count_tokens", &plain, Dialect::Anthropic, Operation::CountTokens),
            (Method::POST, "/openai/v1/chat/completions", &plain, Dialect::OpenAi, Operation::Chat),
            (Method::POST, "/v1/responses", &plain, Dialect::Responses, Operation::Responses),
            (Method::POST, "/codex/responses", &plain, Dialect::Codex, Operation::Responses),
            (
                Method::POST,
                "/backend-api/codex/responses/compact",
                &plain,
                Dialect::Codex,
                Operation::Compact,
            ),
            (Method::GET, "/v1/models", &anthropics, Dialect::Anthropic, Operation::Models),
            (Method::GET, "/v1/models", &plain, Dialect::OpenAi, Operation::Models),
            (Method::GET, "/v1/models/a/b", &plain, Dialect::OpenAi, Operation::Model("a/b".into())),
            (Method::GET, "/v1/messages", &plain, Dialect::Anthropic, Operation::Unknown),
            (Method::POST, "/codexes/responses", &plain, Dialect::OpenAi, Operation::Unknown),
        ] {
            let found = route(&method, path, headers);
            assert_eq!((found.dialect, found.operation), (dialect, operation), "{method} {path}");
        }
    }
}
