//! What a request asks for: dialect, operation, whose accounts may serve it, and the path at the provider.
//! Never looks at a body; a model's prefix or name is resolved once the body has been read.

mod model;
mod operation;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use penstock_proto::dialect::Dialect;

use crate::headers::Headers;
pub use model::{ModelFamily, family_of};

/// What is asked of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Anthropic Messages.
    Messages,
    /// Anthropic `count_tokens`.
    CountTokens,
    /// OpenAI Chat Completions.
    ChatCompletions,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Responses, compact.
    Compact,
    /// OpenAI embeddings.
    Embeddings,
    /// The list of models, or one of them.
    Models,
    /// Anything else: forwarded as it is.
    Other,
}

/// Accounts of several providers that serve one vendor's routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `claude-code`, then `anthropic`.
    Anthropic,
    /// `codex` (Responses only), then `openai`.
    Openai,
}

/// Which accounts may serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Those of a family.
    Family(Family),
    /// Those of one provider.
    Provider(Arc<str>),
    /// Those that speak the dialect; the model's name says which come first.
    ByModel,
}

/// A request's route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The client's format; `None` where the path has none.
    pub dialect: Option<Dialect>,
    /// What is asked.
    pub operation: Operation,
    /// Which accounts may serve, before the model is known.
    pub selector: Selector,
    /// Appended to the account's base URL; starts with `/`, or is empty.
    pub path: Cow<'static, str>,
}

/// Provider names that are prefixes of routes and of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers(BTreeSet<Arc<str>>);

/// The path belongs to no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no route for {method} {path}; there are {ROUTES}")]
pub struct NotFound {
    /// As asked.
    pub method: Method,
    /// As asked, cut to 200 characters.
    pub path: String,
}

const ROUTES: &str = "/v1/{provider}/*, /v1/messages, /v1/messages/count_tokens, /v1/chat/completions, \
    /v1/responses, /v1/responses/compact, /v1/embeddings, /v1/models and \
    /v1/penstock/{anthropic/messages,openai/chat/completions,openai/responses}";

/// Names that are routes without any account of theirs: the error then says that no account serves them,
/// which helps more than "not found".
const FIXED: [&str; 4] = ["anthropic", "openai", "claude-code", "codex"];

impl Providers {
    /// The fixed names and those of a snapshot's accounts.
    pub fn new<'a>(of_accounts: impl IntoIterator<Item = &'a str>) -> Self {
        Self(FIXED.into_iter().chain(of_accounts).map(Arc::from).collect())
    }

    /// Whose accounts a route's or a model's prefix means.
    fn selector(&self, prefix: &str) -> Option<Selector> {
        match prefix {
            "anthropic" => Some(Selector::Family(Family::Anthropic)),
            "openai" => Some(Selector::Family(Family::Openai)),
            _ => self.0.get(prefix).map(|name| Selector::Provider(Arc::clone(name))),
        }
    }
}

impl Default for Providers {
    fn default() -> Self {
        Self::new([])
    }
}

impl Family {
    /// As accounts name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
        }
    }
}

impl Route {
    /// Who serves this model, and its name without a family or provider prefix.
    ///
    /// On a native route (`/v1/{provider}/…`) the model is left as it is.
    pub fn resolve<'m>(&self, model: &'m str, providers: &Providers) -> (Selector, &'m str) {
        if self.selector == Selector::ByModel
            && let Some((prefix, rest)) = model.split_once('/')
            && let Some(selector) = providers.selector(prefix)
            && !rest.is_empty()
        {
            return (selector, rest);
        }
        (self.selector.clone(), model)
    }

    /// The URL at an account's provider; the client's query is kept.
    pub fn url(&self, base_url: &str, query: Option<&str>) -> String {
        let base = base_url.trim_end_matches('/');
        let query = query.filter(|query| !query.is_empty());
        let mut url = String::with_capacity(base.len() + self.path.len() + query.map_or(0, |q| q.len() + 1));
        url.push_str(base);
        url.push_str(&self.path);
        if let Some(query) = query {
            url.push('?');
            url.push_str(query);
        }
        url
    }

    /// The format in which to phrase our own errors.
    pub fn error_dialect(&self) -> Dialect {
        self.dialect.unwrap_or(match self.selector {
            Selector::Family(Family::Anthropic) => Dialect::AnthropicMessages,
            _ => Dialect::OpenaiChat,
        })
    }
}

/// Finds the route of a request.
pub fn route(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &Headers,
    providers: &Providers,
) -> Result<Route, NotFound> {
    let by_path = || operation::by_path(path, query, headers);
    native(path, providers)
        .or_else(|| compatible(path))
        .or_else(by_path)
        .ok_or_else(|| NotFound { method: method.clone(), path: path.chars().take(200).collect() })
}

/// `/v1/{provider}/*`: the prefix is removed exactly once, the rest is the provider's own path.
fn native(path: &str, providers: &Providers) -> Option<Route> {
    let rest = path.strip_prefix("/v1/")?;
    let prefix = rest.split('/').next().filter(|prefix| !prefix.is_empty())?;
    let selector = providers.selector(prefix)?;
    let path = &rest[prefix.len()..];
    let (operation, dialect) = operation::of_suffix(path);
    let path = Cow::Owned(path.to_owned());
    Some(Route { dialect, operation, selector, path })
}

/// `/v1/penstock/…` and `/v1/ccflare/…`: the dialect by path, the family by the model's prefix.
fn compatible(path: &str) -> Option<Route> {
    let rest = path.strip_prefix("/v1/penstock/").or_else(|| path.strip_prefix("/v1/ccflare/"))?;
    let (operation, dialect, path) = match rest {
        "anthropic/messages" | "anthropic/v1/messages" => {
            (Operation::Messages, Dialect::AnthropicMessages, "/v1/messages")
        }
        "anthropic/messages/count_tokens" | "anthropic/v1/messages/count_tokens" => {
            (Operation::CountTokens, Dialect::AnthropicMessages, "/v1/messages/count_tokens")
        }
        "openai/chat/completions" => (Operation::ChatCompletions, Dialect::OpenaiChat, "/chat/completions"),
        "openai/responses" => (Operation::Responses, Dialect::OpenaiResponses, "/responses"),
        "openai/responses/compact" => (Operation::Compact, Dialect::OpenaiResponses, "/responses/compact"),
        "openai/embeddings" => (Operation::Embeddings, Dialect::OpenaiChat, "/embeddings"),
        _ => return None,
    };
    Some(Route { dialect: Some(dialect), operation, selector: Selector::ByModel, path: Cow::Borrowed(path) })
}

#[cfg(test)]
mod tests;
