//! An account as the API shows it. Never holds a credential.

use std::collections::BTreeMap;

use jiff::Timestamp;
use penstock_controller_core::status::window_at;
use penstock_crds::ProviderAccount;
use penstock_crds::account::status::{CredentialKind, ProviderAccountStatus, State, WindowStatus};
use penstock_proto::ids::AccountId;
use serde::Serialize;
use utoipa::ToSchema;

/// One account: what its owner says about it, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// `namespace/name`.
    pub id: String,
    /// Name of the object.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The provider, e.g. `anthropic`.
    pub provider: String,
    /// Where the provider is; `null` = the provider's own address.
    pub base_url: Option<String>,
    /// 0–100, lower first.
    pub priority: u8,
    /// Set aside by a person.
    pub paused: bool,
    /// Takes traffic back as soon as a limit resets.
    pub auto_fallback: bool,
    /// Starts a new usage window when one ends.
    pub auto_refresh: bool,
    /// Globs of the models it serves; empty = all.
    pub allow_models: Vec<String>,
    /// What to ask it for instead, by glob of the model asked for.
    pub model_map: BTreeMap<String, Vec<String>>,
    /// `Available`, `Limited`, `Overloaded`, `Paused`, `NeedsLogin`, `Invalid` or `BudgetExhausted`.
    pub state: String,
    /// Stable reason of the state.
    pub reason: Option<String>,
    /// The state in words, and what to do about it.
    pub message: Option<String>,
    /// Until when it is set aside, when time alone ends that.
    pub limited_until: Option<Timestamp>,
    /// The provider's limit windows as last seen.
    pub windows: Vec<AccountWindow>,
    /// What is known of the credential.
    pub credentials: AccountCredentials,
    /// Proxies that hold it.
    pub in_use_by: u32,
    /// Requests it served, over everything that is kept.
    pub request_count: u64,
    /// Percent of those that were answered completely and without an error; `null` = none yet.
    pub success_rate: Option<f64>,
    /// When the object was made.
    pub created: Option<Timestamp>,
}

/// One limit window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountWindow {
    /// Its name, e.g. `five_hour`.
    pub name: String,
    /// Percent used; may exceed 100.
    pub utilization: f64,
    /// When it starts anew; `null` = not started, or not known.
    pub resets_at: Option<Timestamp>,
    /// The provider's word on it: `allowed`, `warning`, `rejected` or `unknown`.
    pub status: String,
    /// Requests or tokens left, where the provider counts them.
    pub remaining: Option<u64>,
    /// When this was observed.
    pub observed_at: Timestamp,
}

/// What is known of a credential; never the credential.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountCredentials {
    /// `ApiKey`, `OAuth` or `None`; `null` = not known.
    pub kind: Option<String>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// Whose account it is, as far as the provider said.
    pub identity: Option<String>,
}

/// What the history says of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Served {
    pub(super) requests: u64,
    pub(super) success_rate: Option<f64>,
}

impl Account {
    /// What is shown now of an object, its status and its history.
    pub(super) fn of(
        id: &AccountId,
        object: &ProviderAccount,
        status: Option<&ProviderAccountStatus>,
        served: Served,
        now: Timestamp,
    ) -> Self {
        let spec = &object.spec;
        let status = status.cloned().unwrap_or_default();
        let created = object.metadata.creation_timestamp.as_ref();
        Self {
            id: id.as_str().to_owned(),
            name: id.name().to_owned(),
            namespace: id.namespace().to_owned(),
            provider: spec.provider.name().to_owned(),
            base_url: spec.base_url.clone(),
            priority: spec.priority,
            paused: spec.paused,
            auto_fallback: spec.auto_fallback,
            auto_refresh: spec.auto_refresh,
            allow_models: spec.models.allow.clone(),
            model_map: spec.models.map.clone(),
            message: message(&status),
            state: status.state.unwrap_or(State::Available).as_label().to_owned(),
            reason: status.reason,
            limited_until: status.limited_until,
            windows: status.windows.iter().map(|window| AccountWindow::of(window, now)).collect(),
            credentials: status
                .credentials
                .map(|known| AccountCredentials {
                    kind: Some(kind(known.kind).to_owned()),
                    expires_at: known.expires_at,
                    identity: known.identity,
                })
                .unwrap_or_default(),
            in_use_by: status.in_use_by.unwrap_or_default(),
            request_count: served.requests,
            success_rate: served.success_rate,
            created: created.map(|time| time.0),
        }
    }
}

impl AccountWindow {
    fn of(seen: &WindowStatus, now: Timestamp) -> Self {
        // No `..`: a new field must decide whether it is shown.
        let WindowStatus { name, utilization, resets_at, status, remaining, observed_at } =
            window_at(seen, now);
        Self { name, utilization, resets_at, status, remaining, observed_at }
    }
}

/// The first condition that is not met says what is wrong.
fn message(status: &ProviderAccountStatus) -> Option<String> {
    let unmet = status.conditions.iter().find(|condition| condition.status != "True");
    unmet.map(|condition| condition.message.clone()).filter(|message| !message.is_empty())
}

fn kind(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::ApiKey => "ApiKey",
        CredentialKind::OAuth => "OAuth",
        CredentialKind::None => "None",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_window_whose_reset_has_passed_is_empty() {
        let object = json!({
            "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount", "metadata": { "name": "claude" },
            "spec": { "provider": "anthropic", "credentials": { "secretRef": { "name": "claude" } } },
        });
        let window = |name: &str, utilization: f64, resets_at: &str| {
            json!({
                "name": name, "utilization": utilization, "resetsAt": resets_at, "status": "warning",
                "remaining": 3, "observedAt": "2026-01-01T09:00:00Z",
            })
        };
        let status = json!({ "windows": [
            window("five_hour", 100.0, "2026-01-01T10:00:00Z"), window("seven_day", 40.0, "2026-01-05T10:00:00Z"),
        ] });
        let (object, status) =
            (serde_json::from_value(object).unwrap(), serde_json::from_value(status).unwrap());
        let shown = |now: &str| {
            let id = AccountId::new("team", "claude").unwrap();
            let now = now.parse().unwrap();
            let windows = Account::of(&id, &object, Some(&status), Served::default(), now).windows;
            windows
                .into_iter()
                .map(|it| (it.utilization, it.resets_at.is_some(), it.status))
                .collect::<Vec<_>>()
        };
        let (full, half) = ((100.0, true, "warning".to_owned()), (40.0, true, "warning".to_owned()));
        assert_eq!(shown("2026-01-01T09:59:59Z"), [full, half.clone()]);
        assert_eq!(shown("2026-01-01T10:00:00Z"), [(0.0, false, "unknown".to_owned()), half]);
    }
}
