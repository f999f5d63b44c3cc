//! Accounts and their credentials.

use super::{ConvertError, Reason, each, optional, optional_millis, required};
use crate::dialect::{CredentialScheme, Dialect};
use crate::ids::AccountId;
use crate::secret::Secret;
use crate::snapshot::{Account, AccountLimits, Credential, Egress, ModelMapping};
use crate::wire;

/// Highest priority number of an account.
const MAX_PRIORITY: u32 = 100;

pub(super) fn read(id: AccountId, wire: wire::Account) -> Result<Account, ConvertError> {
    Ok(Account {
        id,
        provider: required("provider", wire.provider)?,
        family: required("family", wire.family)?,
        dialects: wire.dialects.into_iter().filter_map(read_dialect).collect(),
        base_url: read_url("base_url", wire.base_url)?,
        credential: wire
            .credential
            .map(read_credential)
            .transpose()
            .map_err(|error| error.within("credential"))?,
        priority: u8::try_from(wire.priority)
            .ok()
            .filter(|priority| u32::from(*priority) <= MAX_PRIORITY)
            .ok_or_else(|| ConvertError::new("priority", Reason::OutOfRange))?,
        paused: wire.paused,
        allow_models: wire.allow_models,
        model_map: each("model_map", wire.model_map, read_mapping)?,
        limits: read_limits(wire.limits.unwrap_or_default()).map_err(|error| error.within("limits"))?,
        headers: each("headers", wire.headers, |header| {
            Ok((required("name", header.name)?, Secret::new(header.value)))
        })?,
        egress: wire.egress.map(read_egress).unwrap_or_default(),
        session_tracked: wire.session_tracked,
        auto_fallback: wire.auto_fallback,
    })
}

// Long because every field has its line, and no `..`: a new one must decide how it travels.
pub(super) fn write(account: &Account) -> wire::Account {
    let Account {
        id: _, // the resource's name
        provider,
        family,
        dialects,
        base_url,
        credential,
        priority,
        paused,
        allow_models,
        model_map,
        limits,
        headers,
        egress,
        session_tracked,
        auto_fallback,
    } = account;
    wire::Account {
        provider: provider.clone(),
        family: family.clone(),
        dialects: dialects.iter().map(|dialect| write_dialect(*dialect).into()).collect(),
        base_url: base_url.clone(),
        credential: credential.as_ref().map(write_credential),
        priority: u32::from(*priority),
        paused: *paused,
        allow_models: allow_models.clone(),
        model_map: model_map
            .iter()
            .map(|ModelMapping { glob, models }| wire::ModelMapping {
                glob: glob.clone(),
                models: models.clone(),
            })
            .collect(),
        limits: Some(write_limits(limits)),
        headers: headers
            .iter()
            .map(|(name, value)| wire::HeaderValue { name: name.clone(), value: value.expose().to_owned() })
            .collect(),
        egress: (*egress != Egress::default()).then(|| write_egress(egress)),
        session_tracked: *session_tracked,
        auto_fallback: *auto_fallback,
    }
}

/// `None` for a format that this program does not know.
pub(super) fn read_dialect(wire: i32) -> Option<Dialect> {
    match wire::Dialect::try_from(wire) {
        Ok(wire::Dialect::AnthropicMessages) => Some(Dialect::AnthropicMessages),
        Ok(wire::Dialect::OpenaiChat) => Some(Dialect::OpenaiChat),
        Ok(wire::Dialect::OpenaiResponses) => Some(Dialect::OpenaiResponses),
        Ok(wire::Dialect::Unspecified) | Err(_) => None,
    }
}

pub(super) fn write_dialect(dialect: Dialect) -> wire::Dialect {
    match dialect {
        Dialect::AnthropicMessages => wire::Dialect::AnthropicMessages,
        Dialect::OpenaiChat => wire::Dialect::OpenaiChat,
        Dialect::OpenaiResponses => wire::Dialect::OpenaiResponses,
    }
}

fn read_url(field: &str, url: String) -> Result<String, ConvertError> {
    let url = required(field, url)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(ConvertError::new(field, Reason::Malformed));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn read_credential(wire: wire::Credential) -> Result<Credential, ConvertError> {
    let scheme = match wire::CredentialScheme::try_from(wire.scheme) {
        Ok(wire::CredentialScheme::AnthropicApiKey) => CredentialScheme::AnthropicApiKey,
        Ok(wire::CredentialScheme::Bearer) => CredentialScheme::Bearer,
        Ok(wire::CredentialScheme::AnthropicOauth) => CredentialScheme::AnthropicOauth,
        Ok(wire::CredentialScheme::Chatgpt) => CredentialScheme::Chatgpt,
        Ok(wire::CredentialScheme::None) => CredentialScheme::None,
        Ok(wire::CredentialScheme::Unspecified) | Err(_) => {
            return Err(ConvertError::new("scheme", Reason::Unknown));
        }
    };
    let secret = match scheme {
        CredentialScheme::None => wire.secret,
        _ => required("secret", wire.secret)?,
    };
    // It becomes a header line: anything else in it could end the line.
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConvertError::new("secret", Reason::Malformed));
    }
    Ok(Credential {
        scheme,
        secret: Secret::new(secret),
        account_id: optional(wire.account_id),
        fingerprint: wire.fingerprint,
        expires_at: optional_millis("expires_at_ms", wire.expires_at_ms)?,
    })
}

fn write_credential(credential: &Credential) -> wire::Credential {
    let Credential { scheme, secret, account_id, fingerprint, expires_at } = credential;
    let scheme = match scheme {
        CredentialScheme::AnthropicApiKey => wire::CredentialScheme::AnthropicApiKey,
        CredentialScheme::Bearer => wire::CredentialScheme::Bearer,
        CredentialScheme::AnthropicOauth => wire::CredentialScheme::AnthropicOauth,
        CredentialScheme::Chatgpt => wire::CredentialScheme::Chatgpt,
        CredentialScheme::None => wire::CredentialScheme::None,
    };
    wire::Credential {
        scheme: scheme.into(),
        secret: secret.expose().to_owned(),
        account_id: account_id.clone().unwrap_or_default(),
        fingerprint: fingerprint.clone(),
        expires_at_ms: expires_at.map_or(0, jiff::Timestamp::as_millisecond),
    }
}

fn read_mapping(wire: wire::ModelMapping) -> Result<ModelMapping, ConvertError> {
    if wire.models.is_empty() {
        return Err(ConvertError::new("models", Reason::Missing));
    }
    Ok(ModelMapping { glob: required("glob", wire.glob)?, models: wire.models })
}

fn read_limits(wire: wire::AccountLimits) -> Result<AccountLimits, ConvertError> {
    let ceilings = each("window_ceilings", wire.window_ceilings, |ceiling| {
        if !ceiling.percent.is_finite() || ceiling.percent < 0.0 {
            return Err(ConvertError::new("percent", Reason::OutOfRange));
        }
        Ok((required("window", ceiling.window)?, ceiling.percent))
    })?;
    Ok(AccountLimits {
        max_concurrent_requests: (wire.max_concurrent_requests > 0).then_some(wire.max_concurrent_requests),
        requests_per_minute: (wire.requests_per_minute > 0).then_some(wire.requests_per_minute),
        tokens_per_minute: (wire.tokens_per_minute > 0).then_some(wire.tokens_per_minute),
        window_ceilings: ceilings.into_iter().collect(),
    })
}

fn write_limits(limits: &AccountLimits) -> wire::AccountLimits {
    let AccountLimits { max_concurrent_requests, requests_per_minute, tokens_per_minute, window_ceilings } =
        limits;
    wire::AccountLimits {
        max_concurrent_requests: max_concurrent_requests.unwrap_or_default(),
        requests_per_minute: requests_per_minute.unwrap_or_default(),
        tokens_per_minute: tokens_per_minute.unwrap_or_default(),
        window_ceilings: window_ceilings
            .iter()
            .map(|(window, percent)| wire::WindowCeiling { window: window.clone(), percent: *percent })
            .collect(),
    }
}

fn read_egress(wire: wire::Egress) -> Egress {
    Egress { proxy_url: optional(wire.proxy_url), ca_bundle_pem: optional(wire.ca_bundle_pem) }
}

fn write_egress(egress: &Egress) -> wire::Egress {
    let Egress { proxy_url, ca_bundle_pem } = egress;
    wire::Egress {
        proxy_url: proxy_url.clone().unwrap_or_default(),
        ca_bundle_pem: ca_bundle_pem.clone().unwrap_or_default(),
    }
}
