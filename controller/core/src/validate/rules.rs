//! The rules of `penstock_crds::rules` in Rust, with the same sentences, for objects that no API server has
//! seen. Each function returns everything that is wrong.

use penstock_crds::account::{NamespacesFrom, ProviderAccountSpec};
use penstock_crds::grant::{AccessGrantSpec, SubjectKind};
use penstock_crds::pool::AccountPoolSpec;
use penstock_crds::rules::{self, Rule};
use serde_json::Value;

use super::{Step, Violation};

/// Names of objects: what Kubernetes demands of them.
pub fn metadata(value: &Value) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let metadata = &value["metadata"];
    match metadata["name"].as_str() {
        None => wrong.push(Violation::at(&["metadata", "name"], "every object needs a name")),
        Some(name) if !is_dns_name(name, 253) => wrong.push(Violation::at(
            &["metadata", "name"],
            format!("{name:?} is not a name: lower-case letters, digits, '-' and '.', at most 253"),
        )),
        Some(_) => {}
    }
    match &metadata["namespace"] {
        Value::Null => {}
        Value::String(namespace) if is_dns_name(namespace, 63) && !namespace.contains('.') => {}
        other => wrong.push(Violation::at(
            &["metadata", "namespace"],
            format!("{other} is not a namespace: lower-case letters, digits and '-', at most 63"),
        )),
    }
    for part in ["labels", "annotations"] {
        for (key, _) in
            metadata[part].as_object().into_iter().flatten().filter(|(_, value)| !value.is_string())
        {
            wrong.push(Violation::at(&["metadata", part, key], "must be text; put it in quotes"));
        }
    }
    wrong
}

/// The rules of accounts.
pub fn account(spec: &ProviderAccountSpec) -> Vec<Violation> {
    let profile = spec.provider.profile();
    let mut wrong = Broken::default();
    wrong.unless(spec.base_url.is_some() || profile.base_url.is_some(), &["spec"], rules::BASE_URL_REQUIRED);
    wrong.unless(spec.credentials.is_some() || profile.anonymous, &["spec"], rules::CREDENTIALS_REQUIRED);
    if let Some(url) = &spec.base_url {
        wrong.unless(is_base_url(url), &["spec", "baseUrl"], rules::BASE_URL);
    }
    for (glob, _) in spec.models.map.iter().filter(|(_, models)| models.is_empty()) {
        wrong.unless(false, &["spec", "models", "map", glob], rules::MODEL_MAP_TARGETS);
    }
    for name in spec.headers.keys() {
        let reserved = rules::RESERVED_HEADERS.contains(&name.as_str());
        wrong.unless(!reserved, &["spec", "headers", name], rules::HEADERS);
    }
    if let Some(url) = &spec.egress.proxy_url {
        wrong.unless(is_proxy_url(url), &["spec", "egress", "proxyUrl"], rules::PROXY_URL);
    }
    if let Some(allowed) = &spec.allowed_namespaces {
        let fits = allowed.selector.is_some() == (allowed.from == NamespacesFrom::Selector);
        wrong.unless(fits, &["spec", "allowedNamespaces"], rules::ALLOWED_NAMESPACES);
    }
    wrong.0
}

/// The rules of pools.
pub fn pool(spec: &AccountPoolSpec) -> Vec<Violation> {
    let mut wrong = Broken::default();
    if let Some(accounts) = &spec.accounts {
        let fits = accounts.selector.is_some() != accounts.refs.is_some();
        wrong.unless(fits, &["spec", "accounts"], rules::SELECTOR_XOR_REFS);
    }
    for (chain, fallback) in spec.fallbacks.iter().enumerate() {
        for (at, target) in fallback.targets.iter().enumerate() {
            if target.pool.is_some() == target.account.is_some() {
                let mut path = keys(&["spec", "fallbacks"]);
                path.extend([Step::Index(chain), Step::Key("targets".into()), Step::Index(at)]);
                wrong.0.push(Violation { path, message: rules::TARGET_POOL_XOR_ACCOUNT.message.to_owned() });
            }
        }
    }
    wrong.0
}

/// The rules of grants.
pub fn grant(spec: &AccessGrantSpec) -> Vec<Violation> {
    let subjects = spec.subjects.iter().enumerate();
    let wrong = subjects.filter(|(_, it)| it.namespace.is_some() && it.kind != SubjectKind::ServiceAccount);
    wrong
        .map(|(at, _)| {
            let mut path = keys(&["spec", "subjects"]);
            path.push(Step::Index(at));
            Violation { path, message: rules::SUBJECT_NAMESPACE.message.to_owned() }
        })
        .collect()
}

/// Whether a text is a base URL as `penstock_crds::rules::BASE_URL` wants it.
pub fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some((authority, path)) = rest.map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len()))) else {
        return false;
    };
    is_authority(authority)
        && !path.ends_with('/')
        && path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b))
}

/// Whether a text is a proxy's address as `penstock_crds::rules::PROXY_URL` wants it.
pub fn is_proxy_url(url: &str) -> bool {
    url.strip_prefix("http://").is_some_and(is_authority)
}

/// `host` or `host:port`.
fn is_authority(text: &str) -> bool {
    // The colons within [::1] are not the one before a port.
    let after_host = text.rfind(']').unwrap_or(0);
    let (host, port) = match text[after_host..].rfind(':') {
        Some(colon) => (&text[..after_host + colon], Some(&text[after_host + colon + 1..])),
        None => (text, None),
    };
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    !host.is_empty()
        && host.bytes().all(good)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|p| p > 0))
}

pub(crate) fn is_dns_name(name: &str, most: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= most && name.split('.').all(label)
}

fn keys(keys: &[&str]) -> Vec<Step> {
    keys.iter().map(|key| Step::Key((*key).to_owned())).collect()
}

#[derive(Default)]
struct Broken(Vec<Violation>);

impl Broken {
    fn unless(&mut self, holds: bool, path: &[&str], rule: Rule) {
        if !holds {
            self.0.push(Violation::at(path, rule.message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_what_an_sdk_calls_one() {
        for good in
            ["https://api.anthropic.com", "http://10.0.0.1:8080/v1", "http://[::1]:9", "http://llm_sim/a/b"]
        {
            assert!(is_base_url(good), "{good}");
        }
        for bad in [
            "",
            "api.anthropic.com",
            "ftp://a",
            "https://",
            "https://a/",
            "https://a/v1/",
            "https://a?b",
            "https://a/#c",
            "https://u:p@a",
            "https://a b",
            "https://a:x",
            "https://a:99999",
            "https:///v1",
            "https://ä",
        ] {
            assert!(!is_base_url(bad), "{bad}");
        }
    }
}
