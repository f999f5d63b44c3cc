//! Accounts for the API keys of the environment. They are in force as long as the variables are there; what is
//! changed about such an account goes into a file, which then counts instead.

use std::collections::BTreeMap;

use penstock_controller_core::objects::{DEFAULT_NAMESPACE, SecretObject};
use penstock_controller_core::validate::{Kind, Manifest};
use penstock_crds::{Provider, ProviderAccount, ProviderAccountSpec};
use penstock_proto::ids::ObjectId;
use penstock_proto::secret::Secret;

use super::read::{Key, Of, Said};

/// Why such an object cannot be changed.
pub(super) const REASON: &str =
    "it comes from an API key in the environment; unset the variable, or pause the account";

/// An account `env-<provider>` and its Secret for each key.
pub(super) fn objects(api_keys: &[(Provider, Secret)]) -> BTreeMap<Key, Said> {
    let mut objects = BTreeMap::new();
    for (provider, key) in api_keys {
        let name = format!("env-{}", provider.name());
        let Ok(id) = ObjectId::new(DEFAULT_NAMESPACE, &name) else { continue };
        let account = ProviderAccount::new(&name, ProviderAccountSpec::new(*provider, Some(&name)));
        let data = BTreeMap::from([("apiKey".to_owned(), key.clone())]);
        let secret = SecretObject { data, ..SecretObject::default() };
        objects.insert(
            Key { of: Of::Ours(Kind::Account), id: id.clone() },
            Said::Ours(Manifest::Account(Box::new(account))),
        );
        objects.insert(Key { of: Of::Secret, id }, Said::Secret(secret));
    }
    objects
}
