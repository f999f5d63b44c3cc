//! What the client asks of us in `x-penstock-*` headers, which never reach a provider.
//! Never widens what the caller may use: a directive only narrows the choice.

use crate::headers::Headers;

/// Forces one account: its name, or `namespace/name`.
pub const ACCOUNT: &str = "x-penstock-account";
/// Comma-separated providers not to be used.
pub const EXCLUDE_PROVIDERS: &str = "x-penstock-exclude-providers";
/// The affinity key.
pub const SESSION: &str = "x-penstock-session";
/// Refuses a translation that would drop something.
pub const STRICT: &str = "x-penstock-strict";

/// The directives of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// The only account to use.
    pub account: Option<String>,
    /// Providers not to be used, lower case.
    pub exclude_providers: Vec<String>,
    /// Whether a translation may drop nothing.
    pub strict: bool,
}

impl Directives {
    /// Reads them; what is not readable text is as if it were not there.
    pub fn read(headers: &Headers) -> Self {
        let text = |name: &str| headers.text(name).map(str::trim);
        Self {
            account: text(ACCOUNT).filter(|name| !name.is_empty()).map(str::to_owned),
            exclude_providers: headers
                .items(EXCLUDE_PROVIDERS)
                .map(str::to_ascii_lowercase)
                .filter(|name| !name.is_empty())
                .collect(),
            strict: text(STRICT).is_some_and(|value| matches!(value, "1" | "true" | "yes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_from_one_or_several_header_lines() {
        let lines = [
            (ACCOUNT, "llm/a"),
            (EXCLUDE_PROVIDERS, "Codex, zai"),
            (EXCLUDE_PROVIDERS, "xai"),
            (STRICT, "true"),
        ];
        let headers = lines.into_iter().collect();
        let expected = Directives {
            account: Some("llm/a".into()),
            exclude_providers: vec!["codex".into(), "zai".into(), "xai".into()],
            strict: true,
        };
        assert_eq!(Directives::read(&headers), expected);
        assert_eq!(Directives::read(&Headers::default()), Directives::default());
    }
}
