//! Tokens, in disjoint classes: their sum is what the request used.

use serde::{Deserialize, Serialize};

/// Tokens of one request. Every token is in exactly one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Prompt tokens neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to a cache that lives 5 minutes.
    pub cache_write_5m_tokens: u64,
    /// Prompt tokens written to a cache that lives an hour.
    pub cache_write_1h_tokens: u64,
    /// Generated tokens without those reported as reasoning.
    pub output_tokens: u64,
    /// Generated tokens reported as reasoning (thinking).
    pub reasoning_tokens: u64,
}

impl Usage {
    /// The sum over all classes.
    pub fn total(&self) -> u64 {
        // No `..`: a new class must decide how it adds up.
        let Self {
            input_tokens,
            cache_read_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
        } = *self;
        [cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens]
            .into_iter()
            .fold(input_tokens, u64::saturating_add)
    }
}

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider said so.
    Reported,
    /// Counted from bytes, because the answer ended early or the provider says nothing.
    Estimated,
    /// Nothing was generated.
    #[default]
    None,
}

impl UsageSource {
    /// Stable label for history and metrics.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::None => "none",
        }
    }
}
