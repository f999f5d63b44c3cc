//! The rules that a schema cannot say: the CEL expression that the API server evaluates, and the sentence
//! that a person reads. The controller enforces the same rules, with the same sentences, on manifests that
//! come from a folder.

use serde_json::{Value, json};

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// CEL, true when the value is good.
    pub cel: &'static str,
    /// What to do about a value that is not.
    pub message: &'static str,
}

/// Headers that belong to the transport or to the credential, and cannot be added to an account.
pub const RESERVED_HEADERS: [&str; 12] = [
    "authorization",
    "x-api-key",
    "chatgpt-account-id",
    "host",
    "connection",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "cookie",
];

/// `spec.provider` of an account.
pub const PROVIDER_IMMUTABLE: Rule = Rule {
    cel: "self == oldSelf",
    message: "provider cannot be changed; delete this account and create another one",
};

/// `spec` of an account.
pub const BASE_URL_REQUIRED: Rule = Rule {
    cel: "has(self.baseUrl) || !(self.provider in ['anthropic-compatible', 'openai-compatible'])",
    message: "baseUrl is required for anthropic-compatible and openai-compatible: add what the provider's SDK calls \
              its base URL, e.g. https://llm.example.com/v1",
};

/// `spec` of an account.
pub const CREDENTIALS_REQUIRED: Rule = Rule {
    cel: "has(self.credentials) || self.provider in ['ollama', 'anthropic-compatible', 'openai-compatible']",
    message: "credentials is required for this provider: create a Secret and name it in credentials.secretRef.name",
};

/// `spec.baseUrl` of an account.
pub const BASE_URL: Rule = Rule {
    cel: "self.matches('^https?://[^/?#@ ]+(/[^?# ]*)?$') && !self.endsWith('/')",
    message: "baseUrl must start with http:// or https:// and have no trailing slash, user, query or fragment, \
              e.g. https://api.example.com/v1",
};

/// `spec.models.map` of an account.
pub const MODEL_MAP_TARGETS: Rule = Rule {
    cel: "self.all(glob, self[glob].size() > 0)",
    message: "every entry of models.map needs at least one model to ask for instead; remove entries without one",
};

/// `spec.headers` of an account.
pub const HEADERS: Rule = Rule {
    cel: "!self.exists(name, name in ['authorization', 'x-api-key', 'chatgpt-account-id', 'host', 'connection', \
          'content-length', 'content-encoding', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'cookie'])",
    message: "headers must not contain credentials or transport headers (authorization, x-api-key, host, \
              content-length, …); put credentials into the Secret",
};

/// `spec.egress.proxyUrl` of an account.
pub const PROXY_URL: Rule = Rule {
    cel: "self.matches('^http://[^/?#@ ]+$')",
    message: "egress.proxyUrl must be http://host:port of a proxy that understands CONNECT, without path or user",
};

/// `spec.allowedNamespaces` of an account.
pub const ALLOWED_NAMESPACES: Rule = Rule {
    cel: "has(self.selector) == (self.from == 'Selector')",
    message: "allowedNamespaces.selector belongs to from: Selector; add it there, and remove it otherwise",
};

/// Amounts of dollars.
pub const USD: Rule = Rule {
    cel: "self.matches('^[0-9]{1,9}([.][0-9]{1,6})?$')",
    message: "usd must be dollars as a decimal string in quotes, e.g. \"200\" or \"12.50\"",
};

/// `spec.accounts` of a pool.
pub const SELECTOR_XOR_REFS: Rule = Rule {
    cel: "has(self.selector) != has(self.refs)",
    message: "accounts needs either selector or refs, not both; leave accounts out to use every account of the namespace",
};

/// A target of a pool's fallback chain.
pub const TARGET_POOL_XOR_ACCOUNT: Rule = Rule {
    cel: "has(self.pool) != has(self.account)",
    message: "a fallback target is either pool: self or account: <name>, not both",
};

/// A subject of a grant.
pub const SUBJECT_NAMESPACE: Rule = Rule {
    // `namespace` is a reserved word of CEL, which is why Kubernetes escapes it.
    cel: "self.kind == 'ServiceAccount' || !has(self.__namespace__)",
    message: "namespace belongs to subjects of kind ServiceAccount only: a Namespace is named by name, and the Secret of \
              a ClientKey is in the grant's own namespace",
};

impl Rule {
    /// As an entry of `x-kubernetes-validations`.
    pub fn to_json(self) -> Value {
        json!({ "rule": self.cel, "message": self.message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_on_headers_names_every_reserved_header() {
        for name in RESERVED_HEADERS {
            assert!(HEADERS.cel.contains(&format!("'{name}'")), "{name}");
        }
    }
}
