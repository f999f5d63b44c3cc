//! Whose a model is, by its name, where no prefix says so.

use super::Family;

/// Whose models have such names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFamily {
    /// One vendor's.
    Of(Family),
    /// Nobody's in particular: every account that speaks the dialect may serve it.
    Unknown,
}

/// The family that owns a model of this name.
pub fn family_of(model: &str) -> ModelFamily {
    const OPENAI: [&str; 8] =
        ["gpt-", "o1", "o3", "o4", "codex", "text-embedding-", "chatgpt-", "computer-use-preview"];
    let starts =
        |prefix: &str| model.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if starts("claude-") {
        ModelFamily::Of(Family::Anthropic)
    // Open weights with OpenAI's name are served by others.
    } else if OPENAI.into_iter().any(starts) && !starts("gpt-oss") {
        ModelFamily::Of(Family::Openai)
    } else {
        ModelFamily::Unknown
    }
}
