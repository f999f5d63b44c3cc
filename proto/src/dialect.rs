//! The request formats, and how a credential is presented.

use serde::{Deserialize, Serialize};

/// A request format with its own paths, streaming grammar and error bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Anthropic Messages (`/v1/messages`).
    AnthropicMessages,
    /// OpenAI Chat Completions and what shares its error format (embeddings, models).
    OpenaiChat,
    /// OpenAI Responses (`/v1/responses`), also the Codex backend's.
    OpenaiResponses,
}

impl Dialect {
    /// Stable label for metrics, logs and history.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic-messages",
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
        }
    }
}

/// How an account's credential is put on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialScheme {
    /// `x-api-key: …`
    AnthropicApiKey,
    /// `authorization: Bearer …`
    Bearer,
    /// `authorization: Bearer …`, and `oauth-2025-04-20` once in `anthropic-beta`.
    AnthropicOauth,
    /// `authorization: Bearer …` and `chatgpt-account-id: …`
    Chatgpt,
    /// The provider wants none (a local server).
    None,
}
