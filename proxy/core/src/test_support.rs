//! Fixtures of the tests beside the code.

use std::sync::Arc;

use penstock_proto::dialect::{CredentialScheme, Dialect};
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::{Account, AccountLimits, Credential, Egress, Snapshot};

/// An Anthropic account with an API key that serves every model.
pub(crate) fn account(id: &str) -> Account {
    let secret = Secret::new(format!("key of {id}"));
    Account {
        id: id.parse().expect("a name"),
        provider: "anthropic".into(),
        family: "anthropic".into(),
        dialects: vec![Dialect::AnthropicMessages],
        base_url: "https://api.anthropic.com".into(),
        credential: Some(Credential {
            scheme: CredentialScheme::AnthropicApiKey,
            fingerprint: secret.fingerprint(),
            secret,
            account_id: None,
            expires_at: None,
        }),
        priority: 0,
        paused: false,
        allow_models: Vec::new(),
        model_map: Vec::new(),
        limits: AccountLimits::default(),
        headers: Vec::new(),
        egress: Egress::default(),
        session_tracked: false,
        auto_fallback: false,
    }
}

/// A snapshot of these accounts, with nothing known of their state.
pub(crate) fn snapshot(accounts: impl IntoIterator<Item = Account>) -> Snapshot {
    let accounts = accounts.into_iter().map(|account| (account.id.clone(), Arc::new(account)));
    Snapshot { accounts: accounts.collect(), ..Snapshot::default() }
}
