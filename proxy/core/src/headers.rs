//! Which headers go to the provider, and which come back.
//! Never forwards a client's credential; never invents a client identity; repeated lines survive.
//!
//! | module | what it owns |
//! |---|---|
//! | [`list`] | the lines of a head, as received |
//! | [`split`] | finds them, strictly |

use std::borrow::Cow;

use http::header::{self, HeaderName, HeaderValue};
use penstock_proto::dialect::CredentialScheme;
use penstock_proto::snapshot::{Account, Credential};

mod list;
mod split;

pub(crate) use list::text;
pub use list::{Field, Headers, is_control, put_line};
pub use split::{BadLines, LineEnds};

const ACCEPT_ENCODING: &[u8] = b"accept-encoding";
const ANTHROPIC_BETA: &[u8] = b"anthropic-beta";
const CHATGPT_ACCOUNT: HeaderName = HeaderName::from_static("chatgpt-account-id");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Without it Anthropic refuses a subscription's token.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// A header line on its way to a provider: the client's, the account's, or one of ours.
pub struct Line<'a> {
    /// In lower case.
    pub name: &'a [u8],
    /// As it is sent.
    pub value: Cow<'a, [u8]>,
    /// Both, as one line with its end, where they lie together already.
    pub plain: Option<&'a [u8]>,
    /// The account's: it may be a credential.
    pub secret: bool,
}

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

impl<'a> Line<'a> {
    /// One that may be known.
    pub fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self { name, value: Cow::Borrowed(value), plain: None, secret: false }
    }
}

impl AccountHeaders {
    /// Parses what the account adds; an account without a credential adds only its own headers.
    pub fn new(account: &Account) -> Result<Self, Unsendable> {
        let mut added = Vec::new();
        for (name, value) in &account.headers {
            let parsed =
                HeaderName::try_from(name.as_str()).map_err(|_| Unsendable { name: name.clone() })?;
            // The connection's own headers are not the account's to set.
            if is_hop_by_hop(parsed.as_str().as_bytes())
                || parsed == header::HOST
                || parsed == header::CONTENT_LENGTH
            {
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

    fn adds(&self, name: &[u8]) -> bool {
        self.added.iter().any(|(added, _)| added.as_str().as_bytes() == name)
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
    client: &'a Headers,
    account: &'a AccountHeaders,
    streaming: bool,
    encoded: bool,
) -> Vec<Line<'a>> {
    let mut sent = Vec::with_capacity(client.len() + account.added.len() + 2);
    let has_named = client.contains("connection");
    let replaced = |name: &[u8]| {
        (streaming && name == ACCEPT_ENCODING)
            || (!encoded && name == b"content-encoding")
            || account.adds(name)
    };
    for field in client.iter() {
        let name = field.name();
        let is_left_out = stays_here(name) || replaced(name) || (has_named && is_named(client, name));
        if !is_left_out {
            sent.push(Line { plain: field.plain(), ..Line::new(name, field.value()) });
        }
    }
    if streaming && !account.adds(ACCEPT_ENCODING) {
        sent.push(Line::new(ACCEPT_ENCODING, b"identity"));
    }
    let added = account.added.iter();
    sent.extend(
        added.map(|(name, value)| Line {
            secret: true,
            ..Line::new(name.as_str().as_bytes(), value.as_bytes())
        }),
    );
    if account.oauth_beta {
        add_oauth_beta(&mut sent);
    }
    sent
}

/// Removes from a provider's answer what must not reach the client.
///
/// `content-length` stays: whether it still holds is known to who relays the body.
pub fn to_client(upstream: &mut Headers) {
    let stays_here =
        |name: &[u8]| is_hop_by_hop(name) || is_ours(name) || matches!(name, b"set-cookie" | b"alt-svc");
    if upstream.contains("connection") {
        let named = upstream.clone();
        upstream.retain(|name| !stays_here(name) && !is_named(&named, name));
    } else {
        upstream.retain(|name| !stays_here(name));
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
fn stays_here(name: &[u8]) -> bool {
    is_hop_by_hop(name)
        || is_ours(name)
        || matches!(
            name,
            b"authorization"
                | b"x-api-key"
                | b"api-key"
                | b"cookie"
                | b"chatgpt-account-id"
                | b"host"
                | b"content-length"
                | b"expect"
        )
}

fn is_ours(name: &[u8]) -> bool {
    name.starts_with(b"x-penstock-")
}

fn is_hop_by_hop(name: &[u8]) -> bool {
    match name {
        b"connection" | b"keep-alive" | b"te" | b"trailer" | b"transfer-encoding" | b"upgrade"
        | b"http2-settings" => true,
        other => other.starts_with(b"proxy-"),
    }
}

/// Whether `connection` names this header as one of the connection's own.
fn is_named(headers: &Headers, name: &[u8]) -> bool {
    headers.items("connection").any(|item| item.as_bytes().eq_ignore_ascii_case(name))
}

/// Appends the beta to the client's list, once.
fn add_oauth_beta(lines: &mut Vec<Line<'_>>) {
    let lists = lines.iter().filter(|line| line.name == ANTHROPIC_BETA);
    let mut betas = lists.filter_map(|line| text(&line.value)).flat_map(|list| list.split(','));
    if betas.any(|beta| beta.trim() == OAUTH_BETA) {
        return;
    }
    let Some(first) = lines.iter_mut().find(|line| line.name == ANTHROPIC_BETA) else {
        lines.push(Line::new(ANTHROPIC_BETA, OAUTH_BETA.as_bytes()));
        return;
    };
    first.plain = None;
    let list = first.value.to_mut();
    if !list.trim_ascii().is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(OAUTH_BETA.as_bytes());
}

#[cfg(test)]
mod tests;
