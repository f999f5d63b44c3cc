//! The closed list of providers, and one table with everything that is a fact about one of them. A new preset
//! is a variant and an entry in [`table`].

mod table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A provider of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Anthropic, by API key.
    Anthropic,
    /// OpenAI, by API key.
    Openai,
    /// Anthropic, by a Claude subscription (OAuth).
    ClaudeCode,
    /// OpenAI, by a ChatGPT subscription (OAuth).
    Codex,
    /// Any server that speaks Anthropic Messages.
    AnthropicCompatible,
    /// Any server that speaks OpenAI Chat Completions.
    OpenaiCompatible,
    /// Z.ai (GLM).
    Zai,
    /// OpenRouter.
    Openrouter,
    /// MiniMax.
    Minimax,
    /// NanoGPT.
    Nanogpt,
    /// Kilo.
    Kilo,
    /// Alibaba Cloud's coding plan.
    AlibabaCodingPlan,
    /// Ollama on a machine of yours.
    Ollama,
    /// Qwen (Alibaba DashScope).
    Qwen,
    /// xAI (Grok).
    Xai,
}

/// A request format that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Anthropic Messages.
    AnthropicMessages,
    /// OpenAI Chat Completions.
    OpenaiChat,
    /// OpenAI Responses.
    OpenaiResponses,
}

/// How a credential is put on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `x-api-key`
    AnthropicApiKey,
    /// `authorization: Bearer`
    Bearer,
    /// `authorization: Bearer` with Anthropic's OAuth beta.
    AnthropicOauth,
    /// `authorization: Bearer` with the ChatGPT account id.
    Chatgpt,
}

/// Everything that is a fact about a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Its name in objects, routes and history.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// What its own SDK calls its base URL; `None`: the object must say it.
    pub base_url: Option<&'static str>,
    /// Formats it speaks at that base URL, the preferred one first.
    pub dialects: &'static [Dialect],
    /// Whose routes its accounts serve: `anthropic`, `openai` or its own name.
    pub family: &'static str,
    /// How an API key is presented; `None`: it takes none.
    pub api_key: Option<Scheme>,
    /// How an access token is presented; `None`: it takes none.
    pub oauth: Option<Scheme>,
    /// Whether it can do without any credential.
    pub anonymous: bool,
    /// Whether its accounts have 5-hour windows that strategy `Session` fills one after the other.
    pub session_tracked: bool,
    /// What to ask it for instead, by glob of the model asked for, when the account itself maps nothing.
    pub models: &'static [(&'static str, &'static [&'static str])],
}

impl Provider {
    /// Every provider, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::Anthropic,
        Self::Openai,
        Self::ClaudeCode,
        Self::Codex,
        Self::AnthropicCompatible,
        Self::OpenaiCompatible,
        Self::Zai,
        Self::Openrouter,
        Self::Minimax,
        Self::Nanogpt,
        Self::Kilo,
        Self::AlibabaCodingPlan,
        Self::Ollama,
        Self::Qwen,
        Self::Xai,
    ];

    /// The facts about it.
    pub fn profile(self) -> &'static Profile {
        table::profile(self)
    }

    /// Its name in objects, routes and history.
    pub fn name(self) -> &'static str {
        self.profile().name
    }

    /// The provider of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_one_name_in_the_table_and_in_manifests() {
        for provider in Provider::ALL {
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.name());
            assert_eq!(Provider::named(provider.name()), Some(provider));
        }
        assert_eq!(Provider::named("nobody"), None);
    }

    #[test]
    fn every_entry_of_the_table_can_serve_a_request() {
        for provider in Provider::ALL {
            let profile = provider.profile();
            assert!(!profile.dialects.is_empty(), "{provider:?}");
            assert!(profile.api_key.is_some() || profile.oauth.is_some(), "{provider:?}");
            assert!(["anthropic", "openai", profile.name].contains(&profile.family), "{provider:?}");
            let url = profile.base_url.unwrap_or("https://example.com");
            assert!(url.starts_with("http") && !url.ends_with('/'), "{provider:?}");
        }
    }

    #[test]
    fn a_base_url_is_required_exactly_where_the_rule_of_the_schema_says_so() {
        for provider in Provider::ALL {
            let in_rule = crate::rules::BASE_URL_REQUIRED.cel.contains(&format!("'{}'", provider.name()));
            assert_eq!(provider.profile().base_url.is_none(), in_rule, "{provider:?}");
            let in_rule = crate::rules::CREDENTIALS_REQUIRED.cel.contains(&format!("'{}'", provider.name()));
            assert_eq!(provider.profile().anonymous, in_rule, "{provider:?}");
        }
    }
}
