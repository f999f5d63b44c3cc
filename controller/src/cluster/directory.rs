//! A folder of manifests as the source of objects: the same objects as in a cluster, in `*.yaml`, several
//! documents a file. What is good is in force within a second; a file with a mistake is reported with its line
//! and reason and changes nothing that is in force already.
//!
//! | module | what it owns |
//! |---|---|
//! | `node` | a document in which every value knows its line |
//! | `read` | a file as objects, or everything that is wrong with it |
//! | `state` | every file as last seen, and what was last good in it |
//! | `edit` | writing, without touching other documents |
//! | `files` | listing, reading, and atomic writing |
//! | `statuses` | the statuses, which a folder has no place for |
//! | `environment` | accounts for the API keys of the environment |
//! | `watch` | noticing edits |

mod edit;
mod environment;
mod files;
mod node;
mod read;
mod state;
mod statuses;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use penstock_controller_core::objects::id_of;
use penstock_controller_core::price::PriceTable;
use penstock_controller_core::reconcile::StatusWrite;
use penstock_controller_core::validate::{Kind, Manifest};
use penstock_crds::account::Credentials;
use penstock_crds::values::LocalRef;
use penstock_crds::{Provider, ProviderAccount};
use penstock_proto::ids::{AccountId, ObjectId};
use penstock_proto::secret::Secret;

use super::published::{Published, Words};
use super::{Outcome, SecretData, SpecChange, WriteError, Written};
use edit::{account_manifest, io_error, secret_manifest, set_secret_values};
use read::{Key, Of, Said};
use state::State;
use statuses::Statuses;

const WORDS: Words = Words { one: "a manifest is", all: "all manifests are" };

/// What a folder is opened with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where the manifests are; made if it is not there.
    pub folder: PathBuf,
    /// Where statuses are kept between two runs; `None`: nowhere.
    pub status_file: Option<PathBuf>,
    /// API keys of the environment, which are accounts without a file.
    pub api_keys: Vec<(Provider, Secret)>,
    /// What requests cost.
    pub prices: PriceTable,
}

/// A folder of manifests.
pub struct Directory {
    state: Mutex<State>,
    published: Published,
}

impl Directory {
    /// Opens a folder. What is good in it is in [`Directory::published`] at once; run [`Directory::watch`] to
    /// notice edits.
    ///
    /// # Errors
    /// If the folder can neither be found nor made. Mistakes in files are no error, but problems.
    pub async fn open(settings: Settings) -> Result<Arc<Self>, WriteError> {
        let Settings { folder, status_file, api_keys, prices } = settings;
        let opened = blocking(move || {
            state::prepare(&folder).map_err(|source| WriteError::Io { path: folder.clone(), source })?;
            let mut state = State::new(folder, environment::objects(&api_keys), Statuses::open(status_file));
            state.load();
            Ok::<_, WriteError>(state)
        });
        let state = Mutex::new(opened.await?);
        let published = Published::new(prices, WORDS);
        let directory = Arc::new(Self { state, published });
        directory.publish(&directory.state.lock());
        Ok(directory)
    }

    /// What is in force, and what is not.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Takes in what has changed in the folder since it was last looked at.
    pub async fn reload(self: &Arc<Self>) {
        self.with(State::load).await;
    }

    pub(super) async fn create_account(
        self: &Arc<Self>,
        account: ProviderAccount,
        secret: SecretData,
    ) -> Result<(), WriteError> {
        let id = id_of(&account)?;
        self.with(move |state| {
            let key = key(Of::Ours(Kind::Account), &id);
            if state.said(&key).is_some() {
                return Err(WriteError::Exists { what: key.what() });
            }
            let secret_id = account.spec.credentials.as_ref().filter(|_| !secret.is_empty());
            let secret_id =
                secret_id.and_then(|named| ObjectId::new(id.namespace(), &named.secret_ref.name).ok());
            let secret_file = secret_id.map(|id| {
                state.create(&self::key(Of::Secret, &id), &secret_manifest(&id, &BTreeMap::new(), &secret))
            });
            let secret_file = secret_file.transpose()?;
            let created = state.create(&key, &account_manifest(&account, &id));
            if let (Err(_), Some(file)) = (&created, secret_file) {
                // The error that matters is the first one.
                let _ = state.remove_file(&file);
            }
            created.map(drop)
        })
        .await
    }

    pub(super) async fn change_account(
        self: &Arc<Self>,
        id: &AccountId,
        change: SpecChange,
        secret: Option<SecretData>,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.with(move |state| {
            let key = key(Of::Ours(Kind::Account), &id);
            let Some(Said::Ours(Manifest::Account(account))) = state.said(&key) else {
                return Err(WriteError::NotFound { what: key.what() });
            };
            let mut account = account.clone();
            change(&mut account.spec);
            if let Some(values) = secret.filter(|values| !values.is_empty()) {
                let named = account.spec.credentials.get_or_insert_with(|| Credentials {
                    secret_ref: LocalRef { name: id.name().to_owned() },
                });
                set_secret(state, &id, &named.secret_ref.name, &values)?;
            }
            if state.find(&key).is_none() {
                // It comes from the environment: what was changed about it goes into a file.
                return state.create(&key, &account_manifest(&account, &id)).map(drop);
            }
            let spec = account_manifest(&account, &id)["spec"].take();
            state.replace(&key, |manifest| manifest["spec"] = spec)
        })
        .await
    }

    pub(super) async fn delete_account(self: &Arc<Self>, id: &AccountId) -> Result<(), WriteError> {
        let id = id.clone();
        self.with(move |state| {
            let key = key(Of::Ours(Kind::Account), &id);
            let Some(Said::Ours(Manifest::Account(account))) = state.said(&key) else {
                return Err(WriteError::NotFound { what: key.what() });
            };
            let secret = account.spec.credentials.as_ref().map(|named| named.secret_ref.name.clone());
            if state.find(&key).is_none() {
                let reason = environment::REASON.to_owned();
                return Err(WriteError::ReadOnly { what: key.what(), reason });
            }
            state.remove(&key)?;
            let secret = secret.and_then(|name| ObjectId::new(id.namespace(), &name).ok());
            let Some(secret) = secret.map(|id| self::key(Of::Secret, &id)) else { return Ok(()) };
            if state.find(&secret).is_none() || is_used(state, &secret) {
                return Ok(());
            }
            state.remove(&secret)
        })
        .await
    }

    pub(super) async fn create_secret(
        self: &Arc<Self>,
        id: &ObjectId,
        labels: BTreeMap<String, String>,
        data: SecretData,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.with(move |state| {
            let key = key(Of::Secret, &id);
            if state.said(&key).is_some() {
                return Err(WriteError::Exists { what: key.what() });
            }
            state.create(&key, &secret_manifest(&id, &labels, &data)).map(drop)
        })
        .await
    }

    pub(super) async fn delete_secret(self: &Arc<Self>, id: &ObjectId) -> Result<(), WriteError> {
        let key = key(Of::Secret, id);
        self.with(move |state| state.remove(&key)).await
    }

    pub(super) async fn write_status(self: &Arc<Self>, writes: &[StatusWrite]) -> Written {
        let outcomes = vec![Outcome::Written; writes.len()];
        if writes.is_empty() {
            return Written { outcomes, failed: None };
        }
        let writes = writes.to_vec();
        let stored = self.with(move |state| {
            state.statuses.take_in(&writes);
            let objects = state.objects();
            state.statuses.retain(&objects);
            state.statuses.store().map_err(io_error)
        });
        // What could not be stored stands in the objects of this process all the same.
        Written { outcomes, failed: stored.await.err() }
    }

    /// Does something with the state where it may wait for the disk, and publishes what came of it.
    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> T {
        let this = Arc::clone(self);
        blocking(move || {
            let mut state = this.state.lock();
            let result = work(&mut state);
            this.publish(&state);
            result
        })
        .await
    }

    fn publish(&self, state: &State) {
        self.published.set_objects(state.objects());
        self.published.set_problems(state.problems());
    }
}

fn key(of: Of, id: &ObjectId) -> Key {
    Key { of, id: id.clone() }
}

fn set_secret(
    state: &mut State,
    account: &AccountId,
    name: &str,
    values: &SecretData,
) -> Result<(), WriteError> {
    let id = ObjectId::new(account.namespace(), name)?;
    let key = key(Of::Secret, &id);
    if state.find(&key).is_some() {
        return state.replace(&key, |manifest| set_secret_values(manifest, values));
    }
    if state.said(&key).is_some() {
        return Err(WriteError::ReadOnly { what: key.what(), reason: environment::REASON.to_owned() });
    }
    state.create(&key, &secret_manifest(&id, &BTreeMap::new(), values)).map(drop)
}

fn is_used(state: &State, secret: &Key) -> bool {
    state.objects().accounts.iter().any(|(id, account)| {
        let named = account.spec.credentials.as_ref().map(|named| named.secret_ref.name.as_str());
        id.namespace() == secret.id.namespace() && named == Some(secret.id.name())
    })
}

/// Work that may wait for the disk. It ends with the process, never before.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}
