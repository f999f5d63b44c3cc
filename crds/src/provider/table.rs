//! The facts about each provider. They change: this is the one place to change them.

use super::Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
use super::{Profile, Provider, Scheme};

/// What the entries below share: a server that speaks Anthropic Messages with a key of its own.
const ANTHROPIC_LIKE: Profile = Profile {
    name: "",
    title: "",
    base_url: None,
    dialects: &[AnthropicMessages],
    family: "",
    api_key: Some(Scheme::AnthropicApiKey),
    oauth: None,
    anonymous: false,
    session_tracked: false,
    models: &[],
};

/// The same for a server that speaks OpenAI Chat Completions.
const OPENAI_LIKE: Profile =
    Profile { dialects: &[OpenaiChat], api_key: Some(Scheme::Bearer), ..ANTHROPIC_LIKE };

const ANTHROPIC: Profile = Profile {
    name: "anthropic",
    title: "Anthropic API key",
    base_url: Some("https://api.anthropic.com"),
    family: "anthropic",
    ..ANTHROPIC_LIKE
};

const CLAUDE_CODE: Profile = Profile {
    name: "claude-code",
    title: "Claude subscription",
    base_url: Some("https://api.anthropic.com"),
    family: "anthropic",
    api_key: None,
    oauth: Some(Scheme::AnthropicOauth),
    session_tracked: true,
    ..ANTHROPIC_LIKE
};

const OPENAI: Profile = Profile {
    name: "openai",
    title: "OpenAI API key",
    base_url: Some("https://api.openai.com/v1"),
    family: "openai",
    // A client of a foreign format is answered over the first: Responses keeps reasoning between turns.
    dialects: &[OpenaiResponses, OpenaiChat],
    ..OPENAI_LIKE
};

const CODEX: Profile = Profile {
    name: "codex",
    title: "ChatGPT subscription",
    base_url: Some("https://chatgpt.com/backend-api/codex"),
    family: "openai",
    dialects: &[OpenaiResponses],
    api_key: None,
    oauth: Some(Scheme::Chatgpt),
    session_tracked: true,
    ..OPENAI_LIKE
};

const ANTHROPIC_COMPATIBLE: Profile = Profile {
    name: "anthropic-compatible",
    title: "Any server that speaks Anthropic Messages",
    family: "anthropic-compatible",
    // A server that wants `authorization: Bearer` gets it by keeping the key as `accessToken`.
    oauth: Some(Scheme::Bearer),
    anonymous: true,
    ..ANTHROPIC_LIKE
};

const OPENAI_COMPATIBLE: Profile = Profile {
    name: "openai-compatible",
    title: "Any server that speaks OpenAI Chat Completions",
    family: "openai-compatible",
    oauth: Some(Scheme::Bearer),
    anonymous: true,
    ..OPENAI_LIKE
};

const ZAI: Profile = Profile {
    name: "zai",
    title: "Z.ai",
    base_url: Some("https://api.z.ai/api/anthropic"),
    family: "zai",
    session_tracked: true,
    models: &[("claude-haiku-*", &["glm-4.5-air"]), ("claude-*", &["glm-4.7"])],
    ..ANTHROPIC_LIKE
};

const OPENROUTER: Profile = Profile {
    name: "openrouter",
    title: "OpenRouter",
    base_url: Some("https://openrouter.ai/api/v1"),
    family: "openrouter",
    ..OPENAI_LIKE
};

const MINIMAX: Profile = Profile {
    name: "minimax",
    title: "MiniMax",
    base_url: Some("https://api.minimax.io/anthropic"),
    family: "minimax",
    models: &[("claude-*", &["MiniMax-M2.5"])],
    ..ANTHROPIC_LIKE
};

const NANOGPT: Profile = Profile {
    name: "nanogpt",
    title: "NanoGPT",
    base_url: Some("https://nano-gpt.com/api"),
    family: "nanogpt",
    ..ANTHROPIC_LIKE
};

const KILO: Profile = Profile {
    name: "kilo",
    title: "Kilo",
    base_url: Some("https://api.kilo.ai/api/gateway"),
    family: "kilo",
    ..OPENAI_LIKE
};

const ALIBABA_CODING_PLAN: Profile = Profile {
    name: "alibaba-coding-plan",
    title: "Alibaba Cloud coding plan",
    base_url: Some("https://coding-intl.dashscope.aliyuncs.com/apps/anthropic"),
    family: "alibaba-coding-plan",
    ..ANTHROPIC_LIKE
};

const OLLAMA: Profile = Profile {
    name: "ollama",
    title: "Ollama",
    base_url: Some("http://localhost:11434/v1"),
    family: "ollama",
    anonymous: true,
    ..OPENAI_LIKE
};

const QWEN: Profile = Profile {
    name: "qwen",
    title: "Qwen",
    base_url: Some("https://dashscope.aliyuncs.com/compatible-mode/v1"),
    family: "qwen",
    oauth: Some(Scheme::Bearer),
    ..OPENAI_LIKE
};

const XAI: Profile = Profile {
    name: "xai",
    title: "xAI",
    base_url: Some("https://api.x.ai/v1"),
    family: "xai",
    dialects: &[OpenaiResponses, OpenaiChat],
    oauth: Some(Scheme::Bearer),
    ..OPENAI_LIKE
};

/// The entry of a provider.
pub(super) fn profile(provider: Provider) -> &'static Profile {
    match provider {
        Provider::Anthropic => &ANTHROPIC,
        Provider::Openai => &OPENAI,
        Provider::ClaudeCode => &CLAUDE_CODE,
        Provider::Codex => &CODEX,
        Provider::AnthropicCompatible => &ANTHROPIC_COMPATIBLE,
        Provider::OpenaiCompatible => &OPENAI_COMPATIBLE,
        Provider::Zai => &ZAI,
        Provider::Openrouter => &OPENROUTER,
        Provider::Minimax => &MINIMAX,
        Provider::Nanogpt => &NANOGPT,
        Provider::Kilo => &KILO,
        Provider::AlibabaCodingPlan => &ALIBABA_CODING_PLAN,
        Provider::Ollama => &OLLAMA,
        Provider::Qwen => &QWEN,
        Provider::Xai => &XAI,
    }
}
