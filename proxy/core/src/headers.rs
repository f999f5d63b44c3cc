//! Which headers go to the provider, and which come back.
//! Never forwards a client's credential; never invents a client identity; repeated lines survive.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use penstock_proto::dialect::CredentialScheme;
use penstock_proto::snapshot::{Account, Credential};

static ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
static ACCEPT_ENCODING: HeaderName = header::ACCEPT_ENCODING;
const CHATGPT_ACCOUNT: HeaderName = HeaderName::from_static("chatgpt-account-id");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Without it Anthropic refuses a subscription's token.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// A header line on its way to a provider: the client's, the account's, or one of ours.
pub type Line<'a> = (&'a HeaderName, Cow<'a, HeaderValue>);

/// What an account puts on every request, parsed once per snapshot. `Debug` tells no value.
#[derive(Clone)]
pub struct AccountHeaders {
    added: Vec<(HeaderName, HeaderValue)>,
    oauth_beta: bool,
}

/// An account's header or credential that HTTP cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {name:?} of the account cannot be sent")]
pub struct Unsendable {
    /// Its name; never its value.
    pub name: String,
}

impl AccountHeaders {
    /// Parses what the account adds; an account without a credential adds only its own headers.
    pub fn new(account: &Account) -> Result<Self, Unsendable> {
        let mut added = Vec::new();
        for (name, value) in &account.headers {
            let parsed =
                HeaderName::try_from(name.as_str()).map_err(|_| Unsendable { name: name.clone() })?;
            // The connection's own headers are not the account's to set.
            if is_hop_by_hop(&parsed) || parsed == header::HOST || parsed == header::CONTENT_LENGTH {
                return Err(Unsendable { name: name.clone() });
            }
            added.push((parsed, secret(name, value.expose())?));
        }
        let mut oauth_beta = false;
        if let Some(credential) = &account.credential {
            oauth_beta = credential.scheme == CredentialScheme::AnthropicOauth;
            present(credential, &mut added)?;
        }
        // Of two of a name the later one counts: the credential.
        let last = |at: usize| !added[at + 1..].iter().any(|(later, _)| *later == added[at].0);
        let added = (0..added.len()).filter(|at| last(*at)).map(|at| added[at].clone()).collect();
        Ok(Self { added, oauth_beta })
    }
}

impl std::fmt::Debug for AccountHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.added.iter().map(|(name, _)| name)).finish()
    }
}

/// The headers to send: the client's, without hop-by-hop, credentials and our own, and the account's.
///
/// `host`, `content-length` and `transfer-encoding` are left to the upstream leg. For a stream,
/// `accept-encoding` is `identity`, so that its events can be read as they pass.
///
/// `encoded`: the body has the client's content encoding still.
pub fn to_upstream<'a>(
    client: &'a HeaderMap,
    account: &'a AccountHeaders,
    streaming: bool,
    encoded: bool,
) -> Vec<Line<'a>> {
    let mut sent = Vec::with_capacity(client.len() + account.added.len() + 2);
    let named = client.get_all(header::CONNECTION);
    let has_named = client.contains_key(header::CONNECTION);
    let replaced = |name: &HeaderName| {
        (streaming && *name == header::ACCEPT_ENCODING)
            || (!encoded && *name == header::CONTENT_ENCODING)
            || account.added.iter().any(|(added, _)| added == name)
    };
    for (name, value) in client {
        let is_left_out = stays_here(name) || replaced(name) || (has_named && is_named(&named, name));
        if !is_left_out {
            sent.push((name, Cow::Borrowed(value)));
        }
    }
    if streaming && !account.added.iter().any(|(added, _)| *added == header::ACCEPT_ENCODING) {
        sent.push((&ACCEPT_ENCODING, Cow::Owned(HeaderValue::from_static("identity"))));
    }
    sent.extend(account.added.iter().map(|(name, value)| (name, Cow::Borrowed(value))));
    if account.oauth_beta {
        add_oauth_beta(&mut sent);
    }
    sent
}

/// Removes from a provider's answer what must not reach the client.
///
/// `content-length` stays: whether it still holds is known to who relays the body.
pub fn to_client(upstream: &mut HeaderMap) {
    let dropped: Vec<HeaderName> = {
        let named = upstream.get_all(header::CONNECTION);
        let has_named = upstream.contains_key(header::CONNECTION);
        let drop = |name: &&HeaderName| {
            is_hop_by_hop(name)
                || **name == header::SET_COOKIE
                || **name == header::ALT_SVC
                || is_ours(name)
                || (has_named && is_named(&named, name))
        };
        upstream.keys().filter(drop).cloned().collect()
    };
    for name in dropped {
        upstream.remove(name);
    }
}

fn present(credential: &Credential, added: &mut Vec<(HeaderName, HeaderValue)>) -> Result<(), Unsendable> {
    let token = credential.secret.expose();
    let bearer = || secret("authorization", &format!("Bearer {token}"));
    match credential.scheme {
        CredentialScheme::AnthropicApiKey => added.push((X_API_KEY, secret("x-api-key", token)?)),
        CredentialScheme::Bearer | CredentialScheme::AnthropicOauth => {
            added.push((header::AUTHORIZATION, bearer()?));
        }
        CredentialScheme::Chatgpt => {
            added.push((header::AUTHORIZATION, bearer()?));
            if let Some(id) = &credential.account_id {
                added.push((CHATGPT_ACCOUNT, secret("chatgpt-account-id", id)?));
            }
        }
        CredentialScheme::None => {}
    }
    Ok(())
}

/// A value that hyper and our own logs treat as sensitive.
fn secret(name: &str, value: &str) -> Result<HeaderValue, Unsendable> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Unsendable { name: name.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a client's header is for us or for this connection, and not for the provider.
fn stays_here(name: &HeaderName) -> bool {
    is_hop_by_hop(name)
        || is_ours(name)
        || matches!(
            name.as_str(),
            "authorization"
                | "x-api-key"
                | "api-key"
                | "cookie"
                | "chatgpt-account-id"
                | "host"
                | "content-length"
                | "expect"
        )
}

fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-penstock-")
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    match name.as_str() {
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
        | "http2-settings" => true,
        other => other.starts_with("proxy-"),
    }
}

/// Whether `connection` names this header as one of the connection's own.
fn is_named(connection: &header::GetAll<'_, HeaderValue>, name: &HeaderName) -> bool {
    let tokens = connection.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    tokens.map(str::trim).any(|token| token.eq_ignore_ascii_case(name.as_str()))
}

/// Appends the beta to the client's list, once.
fn add_oauth_beta(lines: &mut Vec<Line<'_>>) {
    let lists = lines.iter().filter(|(name, _)| **name == ANTHROPIC_BETA);
    let mut betas = lists.filter_map(|(_, value)| value.to_str().ok()).flat_map(|list| list.split(','));
    if betas.any(|beta| beta.trim() == OAUTH_BETA) {
        return;
    }
    let Some((_, first)) = lines.iter_mut().find(|(name, _)| **name == ANTHROPIC_BETA) else {
        lines.push((&ANTHROPIC_BETA, Cow::Owned(HeaderValue::from_static(OAUTH_BETA))));
        return;
    };
    let mut list = first.as_bytes().to_vec();
    if !list.trim_ascii().is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(OAUTH_BETA.as_bytes());
    if let Ok(joined) = HeaderValue::from_bytes(&list) {
        *first = Cow::Owned(joined);
    }
}

#[cfg(test)]
mod tests;
