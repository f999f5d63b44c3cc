//! Writing accounts and Secrets for the management API: each change is made to the object as it is on the API
//! server now, and made again if somebody else was quicker. The API server checks what is written.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use penstock_controller_core::objects::{Objects, id_of};
use penstock_crds::ProviderAccount;
use penstock_crds::account::Credentials;
use penstock_crds::values::LocalRef;
use penstock_proto::ids::{AccountId, ObjectId};

use super::{Kubernetes, is_at_least};
use crate::cluster::{SecretData, SpecChange, WriteError};

/// Whoever loses this often against others does not win by trying on.
const TRIES: usize = 5;

/// Whom `kubectl get --show-managed-fields` names for what people set through the management API.
const MANAGER: &str = "penstock-api";

impl Kubernetes {
    pub(in crate::cluster) async fn create_account(
        &self,
        account: ProviderAccount,
        secret: SecretData,
    ) -> Result<(), WriteError> {
        let id = id_of(&account)?;
        let account = ProviderAccount {
            metadata: ObjectMeta { namespace: Some(id.namespace().to_owned()), ..account.metadata },
            ..account
        };
        let named = account.spec.credentials.as_ref().filter(|_| !secret.is_empty());
        let secret_id =
            named.map(|named| ObjectId::new(id.namespace(), &named.secret_ref.name)).transpose()?;
        if let Some(secret_id) = &secret_id {
            self.put_new_secret(secret_id, BTreeMap::new(), &secret).await?;
        }
        let accounts = Api::<ProviderAccount>::namespaced(self.client.clone(), id.namespace());
        match accounts.create(&params(), &account).await {
            Ok(created) => {
                let version = created.resource_version();
                self.returned(|objects| has_account(objects, &id, version.as_ref())).await;
                Ok(())
            }
            Err(error) => {
                if let Some(secret_id) = &secret_id {
                    // The error that matters is the first one.
                    let secrets = Api::<core::Secret>::namespaced(self.client.clone(), secret_id.namespace());
                    let _ = secrets.delete(secret_id.name(), &DeleteParams::default()).await;
                }
                Err(write_error(what("ProviderAccount", &id), error))
            }
        }
    }

    pub(in crate::cluster) async fn change_account(
        &self,
        id: &AccountId,
        change: SpecChange,
        secret: Option<SecretData>,
    ) -> Result<(), WriteError> {
        let accounts = Api::<ProviderAccount>::namespaced(self.client.clone(), id.namespace());
        let failed = |error| write_error(what("ProviderAccount", id), error);
        for _ in 0..TRIES {
            let mut account = accounts.get(id.name()).await.map_err(failed)?;
            let before = account.spec.clone();
            change(&mut account.spec);
            if let Some(values) = secret.as_ref().filter(|values| !values.is_empty()) {
                let named = account.spec.credentials.get_or_insert_with(|| Credentials {
                    secret_ref: LocalRef { name: id.name().to_owned() },
                });
                let secret_id = ObjectId::new(id.namespace(), &named.secret_ref.name)?;
                self.set_secret(&secret_id, values).await?;
            }
            if account.spec == before {
                return Ok(());
            }
            // The status is another one's, and not taken from here.
            account.status = None;
            match accounts.replace(id.name(), &params(), &account).await {
                Ok(changed) => {
                    let version = changed.resource_version();
                    self.returned(|objects| has_account(objects, id, version.as_ref())).await;
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(WriteError::Conflict { what: what("ProviderAccount", id) })
    }

    pub(in crate::cluster) async fn delete_account(&self, id: &AccountId) -> Result<(), WriteError> {
        let accounts = Api::<ProviderAccount>::namespaced(self.client.clone(), id.namespace());
        let failed = |error| write_error(what("ProviderAccount", id), error);
        let account = accounts.get(id.name()).await.map_err(failed)?;
        accounts.delete(id.name(), &only_this(&account)).await.map_err(failed)?;
        self.returned(|objects| !objects.accounts.contains_key(id)).await;
        let named = account.spec.credentials.map(|named| named.secret_ref.name);
        let secret = named.and_then(|name| ObjectId::new(id.namespace(), &name).ok());
        match secret.filter(|secret| !is_named(&self.published.objects().borrow(), secret)) {
            None => Ok(()),
            Some(secret) => match self.delete_secret(&secret).await {
                // Somebody was quicker, or there was none.
                Err(WriteError::NotFound { .. }) => Ok(()),
                result => result,
            },
        }
    }

    pub(in crate::cluster) async fn create_secret(
        &self,
        id: &ObjectId,
        labels: BTreeMap<String, String>,
        data: SecretData,
    ) -> Result<(), WriteError> {
        self.put_new_secret(id, labels, &data).await?;
        self.returned(|objects| objects.secrets.contains_key(id)).await;
        Ok(())
    }

    pub(in crate::cluster) async fn delete_secret(&self, id: &ObjectId) -> Result<(), WriteError> {
        let secrets = Api::<core::Secret>::namespaced(self.client.clone(), id.namespace());
        let failed = |error| write_error(what("Secret", id), error);
        secrets.delete(id.name(), &DeleteParams::default()).await.map_err(failed)?;
        self.returned(|objects| !objects.secrets.contains_key(id)).await;
        Ok(())
    }

    async fn put_new_secret(
        &self,
        id: &ObjectId,
        labels: BTreeMap<String, String>,
        data: &SecretData,
    ) -> Result<(), WriteError> {
        let secrets = Api::<core::Secret>::namespaced(self.client.clone(), id.namespace());
        let metadata = ObjectMeta {
            name: Some(id.name().to_owned()),
            labels: (!labels.is_empty()).then_some(labels),
            ..ObjectMeta::default()
        };
        let secret = core::Secret { metadata, data: Some(bytes(data)), ..core::Secret::default() };
        let created = secrets.create(&params(), &secret).await;
        created.map(drop).map_err(|error| write_error(what("Secret", id), error))
    }

    /// Sets these values and leaves the others; a Secret that is not there is created.
    async fn set_secret(&self, id: &ObjectId, values: &SecretData) -> Result<(), WriteError> {
        let secrets = Api::<core::Secret>::namespaced(self.client.clone(), id.namespace());
        let failed = |error| write_error(what("Secret", id), error);
        for _ in 0..TRIES {
            let Some(mut secret) = secrets.get_opt(id.name()).await.map_err(failed)? else {
                match self.put_new_secret(id, BTreeMap::new(), values).await {
                    Err(WriteError::Exists { .. }) => continue,
                    result => return result,
                }
            };
            secret.data.get_or_insert_default().extend(bytes(values));
            match secrets.replace(id.name(), &params(), &secret).await {
                Ok(_) => {
                    let same = |objects: &Objects| {
                        let held = objects.secrets.get(id);
                        held.is_some_and(|held| {
                            values.iter().all(|(key, value)| held.data.get(key) == Some(value))
                        })
                    };
                    self.returned(same).await;
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(WriteError::Conflict { what: what("Secret", id) })
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// Not one of the same name that was made since.
fn only_this(object: &impl Resource) -> DeleteParams {
    let preconditions = Preconditions { uid: object.meta().uid.clone(), resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

fn bytes(data: &SecretData) -> BTreeMap<String, ByteString> {
    data.iter().map(|(key, value)| (key.clone(), ByteString(value.expose().as_bytes().to_vec()))).collect()
}

fn has_account(objects: &Objects, id: &AccountId, version: Option<&String>) -> bool {
    let held = objects.accounts.get(id);
    held.is_some_and(|held| is_at_least(held.metadata.resource_version.as_ref(), version))
}

/// Whether an account names the Secret.
fn is_named(objects: &Objects, secret: &ObjectId) -> bool {
    objects.accounts.iter().any(|(id, account)| {
        let named = account.spec.credentials.as_ref().map(|named| named.secret_ref.name.as_str());
        id.namespace() == secret.namespace() && named == Some(secret.name())
    })
}

fn what(kind: &str, id: &ObjectId) -> String {
    format!("{kind} {id}")
}

/// What the API server's answer means for whoever wrote.
pub(super) fn write_error(what: String, error: kube::Error) -> WriteError {
    let kube::Error::Api(status) = &error else { return WriteError::Unavailable { what, source: error } };
    match status.code {
        404 => WriteError::NotFound { what },
        409 if status.is_already_exists() => WriteError::Exists { what },
        409 => WriteError::Conflict { what },
        403 => WriteError::Forbidden { what, reason: status.message.clone() },
        400 | 422 => WriteError::Invalid { reasons: reasons(status) },
        _ => WriteError::Unavailable { what, source: error },
    }
}

fn reasons(status: &kube::core::Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<_> = causes
        .map(|cause| {
            if cause.field.is_empty() {
                cause.message.clone()
            } else {
                format!("{}: {}", cause.field, cause.message)
            }
        })
        .collect();
    if causes.is_empty() { vec![status.message.clone()] } else { causes }
}
