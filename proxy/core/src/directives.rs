//! What the client asks of us in `x-penstock-*` headers, which never reach a provider.
//! Never widens what the caller may use: a directive only narrows the choice.

use http::HeaderMap;

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
    pub fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let listed = headers.get_all(EXCLUDE_PROVIDERS).iter().filter_map(|value| value.to_str().ok());
        Self {
            account: text(ACCOUNT).filter(|name| !name.is_empty()).map(str::to_owned),
            exclude_providers: listed
                .flat_map(|list| list.split(','))
                .map(|name| name.trim().to_ascii_lowercase())
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
        let mut headers = HeaderMap::new();
        headers.insert(ACCOUNT, "llm/a".parse().unwrap());
        headers.append(EXCLUDE_PROVIDERS, "Codex, zai".parse().unwrap());
        headers.append(EXCLUDE_PROVIDERS, "xai".parse().unwrap());
        headers.insert(STRICT, "true".parse().unwrap());
        let expected = Directives {
            account: Some("llm/a".into()),
            exclude_providers: vec!["codex".into(), "zai".into(), "xai".into()],
            strict: true,
        };
        assert_eq!(Directives::read(&headers), expected);
        assert_eq!(Directives::read(&HeaderMap::new()), Directives::default());
    }
}
