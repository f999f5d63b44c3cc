//! A `ProviderAccount` with the Secret and the ConfigMap that it refers to: the account as a proxy uses it,
//! and everything that is wrong.

use jiff::Timestamp;
use penstock_crds::account::ProviderAccountSpec;
use penstock_crds::account::status::CredentialKind;
use penstock_crds::conditions as reasons;
use penstock_crds::provider;
use penstock_crds::{ProviderAccount, rules as texts};
use penstock_proto::dialect::Dialect;
use penstock_proto::ids::{AccountId, ObjectId};
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::{Account, AccountLimits, Egress, ModelMapping};

use super::{Fault, rules};
use crate::objects::Objects;

pub mod credential;

/// What became of an account.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Ready for proxies; its credential is `None` if that cannot be used. `None`: the object cannot be used.
    pub account: Option<Account>,
    /// Of which kind its credential is, if there is one.
    pub kind: Option<CredentialKind>,
    /// Why the object cannot be used as it is written.
    pub spec_fault: Option<Fault>,
    /// Why its credential cannot be used.
    pub credential_fault: Option<Fault>,
}

impl Checked {
    /// Names the credential that is in use now.
    pub fn fingerprint(&self) -> Option<String> {
        Some(self.account.as_ref()?.credential.as_ref()?.fingerprint.clone())
    }
}

/// Checks an account and everything that it refers to. Whether its access token has ended is judged at `now`.
pub fn check(id: &AccountId, object: &ProviderAccount, objects: &Objects, now: Timestamp) -> Checked {
    let credential = credential::check(id, &object.spec, objects, now);
    let (kind, credential, credential_fault) = match credential {
        Ok(Some((kind, credential))) => (Some(kind), Some(credential), None),
        Ok(None) => (Some(CredentialKind::None), None, None),
        Err(fault) => (None, None, Some(fault)),
    };
    match build(id, object, objects) {
        Ok(account) => {
            let account = Some(Account { credential, ..account });
            Checked { account, kind, spec_fault: None, credential_fault }
        }
        Err(fault) => Checked { account: None, kind, spec_fault: Some(fault), credential_fault },
    }
}

fn build(id: &AccountId, object: &ProviderAccount, objects: &Objects) -> Result<Account, Fault> {
    let spec = &object.spec;
    let profile = spec.provider.profile();
    let base_url = spec.base_url.as_deref().or(profile.base_url);
    let base_url = base_url
        .ok_or_else(|| Fault::new(reasons::REASON_INVALID_BASE_URL, texts::BASE_URL_REQUIRED.message))?;
    if !rules::is_base_url(base_url) {
        return Err(Fault::new(reasons::REASON_INVALID_BASE_URL, texts::BASE_URL.message));
    }
    check_headers(spec)?;
    // An API server that holds an older definition may have let something pass.
    if let Some(broken) =
        rules::account(spec).into_iter().find(|broken| broken.message != texts::CREDENTIALS_REQUIRED.message)
    {
        return Err(Fault::new(reasons::REASON_INVALID_SPEC, broken.to_string()));
    }
    Ok(Account {
        id: id.clone(),
        provider: profile.name.to_owned(),
        family: profile.family.to_owned(),
        dialects: profile.dialects.iter().copied().map(dialect).collect(),
        base_url: base_url.to_owned(),
        credential: None,
        priority: spec.priority.min(100),
        paused: spec.paused,
        allow_models: spec.models.allow.clone(),
        model_map: model_map(spec),
        limits: limits(spec),
        headers: spec
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
            .collect(),
        egress: egress(id, spec, objects)?,
        session_tracked: profile.session_tracked,
        auto_fallback: spec.auto_fallback,
    })
}

fn dialect(dialect: provider::Dialect) -> Dialect {
    match dialect {
        provider::Dialect::AnthropicMessages => Dialect::AnthropicMessages,
        provider::Dialect::OpenaiChat => Dialect::OpenaiChat,
        provider::Dialect::OpenaiResponses => Dialect::OpenaiResponses,
    }
}

fn check_headers(spec: &ProviderAccountSpec) -> Result<(), Fault> {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    for (name, value) in &spec.headers {
        if name.is_empty() || !name.bytes().all(token) {
            let message = format!("{name:?} in headers is not the name of a header in lower case");
            return Err(Fault::new(reasons::REASON_INVALID_HEADER, message));
        }
        if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            let message =
                format!("the value of header {name} has characters that cannot be sent; use printable ASCII");
            return Err(Fault::new(reasons::REASON_INVALID_HEADER, message));
        }
    }
    Ok(())
}

/// The account's own map, or else the provider's. Maps have no order, so the most particular glob goes first.
fn model_map(spec: &ProviderAccountSpec) -> Vec<ModelMapping> {
    let mut entries: Vec<ModelMapping> = if spec.models.map.is_empty() {
        let own = spec.provider.profile().models.iter();
        own.map(|(glob, models)| mapping(glob, models.iter().map(ToString::to_string))).collect()
    } else {
        spec.models.map.iter().map(|(glob, models)| mapping(glob, models.iter().cloned())).collect()
    };
    let letters = |glob: &str| glob.chars().filter(|c| *c != '*').count();
    entries.sort_by(|a, b| letters(&b.glob).cmp(&letters(&a.glob)).then_with(|| a.glob.cmp(&b.glob)));
    entries
}

fn mapping(glob: &str, models: impl Iterator<Item = String>) -> ModelMapping {
    ModelMapping { glob: glob.to_owned(), models: models.collect() }
}

fn limits(spec: &ProviderAccountSpec) -> AccountLimits {
    let ceilings = spec.limits.window_ceilings.iter();
    AccountLimits {
        max_concurrent_requests: spec.limits.max_concurrent_requests,
        requests_per_minute: spec.limits.requests_per_minute,
        tokens_per_minute: spec.limits.tokens_per_minute,
        window_ceilings: ceilings.map(|(name, percent)| (window_name(name), f64::from(*percent))).collect(),
    }
}

/// `fiveHour` as people write it → `five_hour` as windows are called.
fn window_name(written: &str) -> String {
    let mut name = String::with_capacity(written.len() + 2);
    for c in written.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn egress(id: &AccountId, spec: &ProviderAccountSpec, objects: &Objects) -> Result<Egress, Fault> {
    let missing = |name: &str| {
        let message = format!(
            "ConfigMap {name} with the key ca.crt was not found in namespace {}; create it or remove egress.caBundle",
            id.namespace()
        );
        Fault::new(reasons::REASON_CA_BUNDLE_NOT_FOUND, message)
    };
    let bundle = spec.egress.ca_bundle.as_ref().map(|bundle| bundle.config_map_ref.name.as_str());
    let pem = bundle.map(|name| {
        let held = ObjectId::new(id.namespace(), name).ok().and_then(|id| objects.ca_bundles.get(&id));
        held.ok_or_else(|| missing(name)).map(ToString::to_string)
    });
    Ok(Egress { proxy_url: spec.egress.proxy_url.clone(), ca_bundle_pem: pem.transpose()? })
}
