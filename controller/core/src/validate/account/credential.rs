//! The credential of an account, from the Secret that it names.

use jiff::Timestamp;
use penstock_crds::account::ProviderAccountSpec;
use penstock_crds::account::status::CredentialKind;
use penstock_crds::conditions as reasons;
use penstock_crds::provider::{Profile, Scheme};
use penstock_proto::dialect::CredentialScheme;
use penstock_proto::ids::{AccountId, ObjectId};
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::Credential;

use crate::objects::{Objects, SecretObject};
use crate::validate::Fault;

/// Key of a Secret with an API key.
pub const API_KEY: &str = "apiKey";
/// Key of a Secret with the access token of a subscription.
pub const ACCESS_TOKEN: &str = "accessToken";
/// Key of a Secret with what renews the access token.
pub const REFRESH_TOKEN: &str = "refreshToken";
/// Key of a Secret with the end of the access token.
pub const EXPIRES_AT: &str = "expiresAt";
/// Key of a Secret with the ChatGPT account id.
pub const ACCOUNT_ID: &str = "accountId";

/// The least that Unix milliseconds can be: as seconds it would be in the year 5138.
const LEAST_MILLISECONDS: i64 = 100_000_000_000;

type Kinded = (CredentialKind, Credential);

/// The credential; `None` where the provider wants none and the object names none.
pub(super) fn check(
    id: &AccountId,
    spec: &ProviderAccountSpec,
    objects: &Objects,
    now: Timestamp,
) -> Result<Option<Kinded>, Fault> {
    let profile = spec.provider.profile();
    let Some(credentials) = &spec.credentials else {
        let message = penstock_crds::rules::CREDENTIALS_REQUIRED.message;
        let fault = || Fault::new(reasons::REASON_CREDENTIALS_REQUIRED, message);
        return if profile.anonymous { Ok(None) } else { Err(fault()) };
    };
    let name = &credentials.secret_ref.name;
    let secret = ObjectId::new(id.namespace(), name).ok().and_then(|id| objects.secrets.get(&id));
    let secret = secret.ok_or_else(|| {
        let namespace = id.namespace();
        if objects.forbidden_secrets.contains(namespace) {
            let message = format!(
                "the controller may not read Secrets in namespace {namespace}; allow it to get, list and watch them there"
            );
            return Fault::new(reasons::REASON_SECRET_FORBIDDEN, message);
        }
        let message = format!(
            "Secret {name} was not found in namespace {namespace}; create it there with the key {}",
            wanted_keys(profile)
        );
        Fault::new(reasons::REASON_SECRET_NOT_FOUND, message)
    })?;
    read(name, secret, profile, now).map(Some)
}

fn read(name: &str, secret: &SecretObject, profile: &Profile, now: Timestamp) -> Result<Kinded, Fault> {
    let value = |key: &str| secret.data.get(key).filter(|value| !value.expose().trim().is_empty());
    if let Some((scheme, token)) = profile.oauth.zip(value(ACCESS_TOKEN)) {
        let expires_at = value(EXPIRES_AT).map(|raw| instant(name, raw)).transpose()?;
        if let Some(end) = expires_at.filter(|end| *end <= now) {
            let message = format!(
                "the access token in Secret {name} ended at {end}; log in again or put a new one there"
            );
            return Err(Fault::new(reasons::REASON_TOKEN_EXPIRED, message));
        }
        let account_id = value(ACCOUNT_ID).map(|id| sendable(name, ACCOUNT_ID, id)).transpose()?;
        if scheme == Scheme::Chatgpt && account_id.is_none() {
            let message = format!(
                "Secret {name} needs the key {ACCOUNT_ID} with the ChatGPT account id beside {ACCESS_TOKEN}"
            );
            return Err(Fault::new(reasons::REASON_SECRET_KEY_MISSING, message));
        }
        let token = sendable(name, ACCESS_TOKEN, token)?;
        let account_id = account_id.map(|id| id.expose().to_owned());
        return Ok((CredentialKind::OAuth, credential(scheme, token, account_id, expires_at)));
    }
    if let Some((scheme, key)) = profile.api_key.zip(value(API_KEY)) {
        return Ok((CredentialKind::ApiKey, credential(scheme, sendable(name, API_KEY, key)?, None, None)));
    }
    let held: Vec<&str> = secret.data.keys().map(String::as_str).collect();
    let held = if held.is_empty() { "it is empty".to_owned() } else { format!("it has {}", held.join(", ")) };
    let message =
        format!("Secret {name} needs the key {} for provider {}; {held}", wanted_keys(profile), profile.name);
    Err(Fault::new(reasons::REASON_SECRET_KEY_MISSING, message))
}

fn credential(
    scheme: Scheme,
    secret: Secret,
    account_id: Option<String>,
    expires_at: Option<Timestamp>,
) -> Credential {
    let scheme = match scheme {
        Scheme::AnthropicApiKey => CredentialScheme::AnthropicApiKey,
        Scheme::Bearer => CredentialScheme::Bearer,
        Scheme::AnthropicOauth => CredentialScheme::AnthropicOauth,
        Scheme::Chatgpt => CredentialScheme::Chatgpt,
    };
    Credential { scheme, fingerprint: secret.fingerprint(), secret, account_id, expires_at }
}

/// The value without the line break that an editor or `echo` left behind it, if it fits into a header.
fn sendable(name: &str, key: &str, value: &Secret) -> Result<Secret, Fault> {
    let trimmed = value.expose().trim();
    if trimmed.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Secret::new(trimmed));
    }
    let message = format!(
        "the value of {key} in Secret {name} has spaces, line breaks or characters that cannot be sent; put the bare key there"
    );
    Err(Fault::new(reasons::REASON_SECRET_MALFORMED, message))
}

fn instant(name: &str, raw: &Secret) -> Result<Timestamp, Fault> {
    let text = raw.expose().trim();
    let number = text.parse::<i64>().ok().and_then(|number| {
        let milliseconds = number >= LEAST_MILLISECONDS;
        if milliseconds {
            Timestamp::from_millisecond(number).ok()
        } else {
            Timestamp::from_second(number).ok()
        }
    });
    number.or_else(|| text.parse().ok()).ok_or_else(|| {
        let message = format!(
            "{EXPIRES_AT} in Secret {name} is neither RFC 3339, like 2026-11-21T14:00:00Z, nor a Unix time in milliseconds"
        );
        Fault::new(reasons::REASON_SECRET_MALFORMED, message)
    })
}

fn wanted_keys(profile: &Profile) -> &'static str {
    match (profile.api_key, profile.oauth) {
        (Some(_) | None, None) => API_KEY,
        (None, Some(Scheme::Chatgpt)) => "accessToken (and accountId)",
        (None, Some(_)) => ACCESS_TOKEN,
        (Some(_), Some(_)) => "apiKey or accessToken",
    }
}
