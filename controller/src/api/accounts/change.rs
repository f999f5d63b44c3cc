//! What a new account, or a change of one, comes with, and the object that it makes.

use std::collections::BTreeMap;

use penstock_controller_core::objects::DEFAULT_NAMESPACE;
use penstock_crds::{Provider, ProviderAccount, ProviderAccountSpec};
use penstock_proto::ids::{AccountId, ObjectId};
use penstock_proto::secret::Secret;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::ApiError;

/// A new account. Its credential goes into a Secret of the same name.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct NewAccount {
    /// 1–63 lower-case letters, digits and `-`.
    name: String,
    /// Default `default`.
    namespace: Option<String>,
    /// E.g. `anthropic`, `openai`, `claude-code`, `codex`, `openai-compatible`, `zai`.
    provider: String,
    /// Needed for `*-compatible`.
    base_url: Option<String>,
    /// 0–100, lower first; default 0.
    #[serde(default)]
    priority: u8,
    /// The API key.
    api_key: Option<String>,
    /// An OAuth access token, instead of a key.
    access_token: Option<String>,
    /// Its refresh token.
    refresh_token: Option<String>,
    /// When the access token ends: RFC 3339, or Unix milliseconds.
    expires_at: Option<String>,
    /// `ChatGPT` account id, for `codex`.
    account_id: Option<String>,
    /// Globs of the models it serves; empty = all.
    #[serde(default)]
    allow_models: Vec<String>,
    /// What to ask it for instead, by glob of the model asked for.
    #[serde(default)]
    model_map: BTreeMap<String, Vec<String>>,
}

/// What to change of an account; what is left out stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::api) struct AccountChange {
    /// Where the provider is.
    pub(super) base_url: Option<String>,
    /// 0–100, lower first.
    pub(super) priority: Option<u8>,
    /// Set aside.
    pub(super) paused: Option<bool>,
    /// Takes traffic back as soon as a limit resets.
    pub(super) auto_fallback: Option<bool>,
    /// Starts a new usage window when one ends.
    pub(super) auto_refresh: Option<bool>,
    /// Globs of the models it serves; empty = all.
    pub(super) allow_models: Option<Vec<String>>,
    /// What to ask it for instead.
    pub(super) model_map: Option<BTreeMap<String, Vec<String>>>,
    /// A new API key.
    pub(super) api_key: Option<String>,
}

/// A new priority.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct PriorityChange {
    /// 0–100, lower first.
    pub(super) priority: u8,
}

/// New rules for models.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct ModelsChange {
    /// Globs of the models it serves; empty = all.
    #[serde(default)]
    pub(super) allow_models: Vec<String>,
    /// What to ask it for instead, by glob of the model asked for.
    #[serde(default)]
    pub(super) model_map: BTreeMap<String, Vec<String>>,
}

impl NewAccount {
    pub(super) fn id(&self) -> Result<AccountId, ApiError> {
        let namespace = self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        ObjectId::new(namespace, &self.name).map_err(|error| ApiError::BadRequest(format!("name: {error}")))
    }

    pub(super) fn secret(&self) -> BTreeMap<String, Secret> {
        let values = [
            ("apiKey", &self.api_key),
            ("accessToken", &self.access_token),
            ("refreshToken", &self.refresh_token),
            ("expiresAt", &self.expires_at),
            ("accountId", &self.account_id),
        ];
        let given = values.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?.trim())));
        given
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), Secret::new(value)))
            .collect()
    }

    pub(super) fn object(&self, id: &AccountId, has_secret: bool) -> Result<ProviderAccount, ApiError> {
        let provider = Provider::named(&self.provider).ok_or_else(|| {
            let known: Vec<_> = Provider::ALL.into_iter().map(Provider::name).collect();
            ApiError::BadRequest(format!("provider {:?} is not one of {}", self.provider, known.join(", ")))
        })?;
        let mut spec = ProviderAccountSpec::new(provider, has_secret.then_some(self.name.as_str()));
        spec.base_url.clone_from(&self.base_url);
        spec.priority = self.priority;
        spec.models.allow.clone_from(&self.allow_models);
        spec.models.map.clone_from(&self.model_map);
        let mut object = ProviderAccount::new(id.name(), spec);
        object.metadata.namespace = Some(id.namespace().to_owned());
        Ok(object)
    }
}

impl AccountChange {
    /// The values of the Secret that are set anew.
    pub(super) fn secret(&self) -> Option<BTreeMap<String, Secret>> {
        let key = self.api_key.as_deref().map(str::trim).filter(|key| !key.is_empty());
        key.map(|key| BTreeMap::from([("apiKey".to_owned(), Secret::new(key))]))
    }

    pub(super) fn apply(&self, spec: &mut ProviderAccountSpec) {
        let set = |to: &mut bool, value: Option<bool>| *to = value.unwrap_or(*to);
        set(&mut spec.paused, self.paused);
        set(&mut spec.auto_fallback, self.auto_fallback);
        set(&mut spec.auto_refresh, self.auto_refresh);
        spec.priority = self.priority.unwrap_or(spec.priority);
        if let Some(base_url) = &self.base_url {
            spec.base_url = Some(base_url.clone()).filter(|url| !url.is_empty());
        }
        if let Some(allow) = &self.allow_models {
            spec.models.allow.clone_from(allow);
        }
        if let Some(map) = &self.model_map {
            spec.models.map.clone_from(map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(json: serde_json::Value) -> NewAccount {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_new_account_refers_to_a_secret_of_its_name_only_if_it_has_a_credential() {
        let with = new(serde_json::json!({"name": "a", "provider": "anthropic", "apiKey": " sk-1\n"}));
        let id = with.id().unwrap();
        assert_eq!(with.secret()["apiKey"].expose(), "sk-1");
        let object = with.object(&id, true).unwrap();
        assert_eq!(object.spec.credentials.unwrap().secret_ref.name, "a");

        let without = new(serde_json::json!({"name": "b", "provider": "ollama"}));
        assert!(without.secret().is_empty());
        assert!(without.object(&id, false).unwrap().spec.credentials.is_none());
    }

    #[test]
    fn an_unknown_provider_is_answered_with_those_there_are() {
        let strange = new(serde_json::json!({"name": "a", "provider": "antropic"}));
        let Err(ApiError::BadRequest(message)) = strange.object(&strange.id().unwrap(), false) else {
            panic!("accepted");
        };
        assert!(message.contains("antropic") && message.contains("claude-code"), "{message}");
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let mut spec = ProviderAccountSpec::new(Provider::Anthropic, None);
        spec.priority = 7;
        AccountChange { paused: Some(true), ..AccountChange::default() }.apply(&mut spec);
        assert!(spec.paused && spec.priority == 7 && spec.auto_fallback);
    }
}
