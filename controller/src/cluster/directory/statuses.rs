//! The statuses of objects, which a folder has no place for: kept in a file of their own, so that limits that
//! are known outlive the process.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use penstock_controller_core::reconcile::StatusWrite;
use penstock_crds::account::ProviderAccountStatus;
use penstock_crds::grant::AccessGrantStatus;
use penstock_crds::pool::AccountPoolStatus;
use penstock_proto::ids::ObjectId;
use serde::{Deserialize, Serialize};

use super::files;

/// The statuses of all objects.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Statuses {
    pub(super) accounts: BTreeMap<ObjectId, ProviderAccountStatus>,
    pub(super) pools: BTreeMap<ObjectId, AccountPoolStatus>,
    pub(super) grants: BTreeMap<ObjectId, AccessGrantStatus>,
    #[serde(skip)]
    file: Option<PathBuf>,
}

impl Statuses {
    /// Those of an earlier process. A file that is missing or unreadable is the same as an empty one: all that
    /// is lost is what will be learned again.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let held: Self = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { file, ..held }
    }

    /// Takes statuses in.
    pub(super) fn take_in(&mut self, writes: &[StatusWrite]) {
        for write in writes {
            match write.clone() {
                StatusWrite::Account(id, change) => drop(self.accounts.insert(id, change.wanted)),
                StatusWrite::Pool(id, change) => drop(self.pools.insert(id, change.wanted)),
                StatusWrite::Grant(id, change) => drop(self.grants.insert(id, change.wanted)),
            }
        }
    }

    /// Forgets those of objects that are gone.
    pub(super) fn retain(&mut self, objects: &penstock_controller_core::objects::Objects) {
        self.accounts.retain(|id, _| objects.accounts.contains_key(id));
        self.pools.retain(|id, _| objects.pools.contains_key(id));
        self.grants.retain(|id, _| objects.grants.contains_key(id));
    }

    /// Writes them to their file.
    ///
    /// # Errors
    /// If that cannot be written, with its path.
    pub(super) fn store(&self) -> Result<(), (PathBuf, io::Error)> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_string(self).map_err(|error| (file.clone(), error.into()))?;
        files::write(file, &text, true).map_err(|error| (file.clone(), error))
    }
}
