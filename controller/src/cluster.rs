//! The port to where objects come from and go to. Nothing above it knows whether that is a Kubernetes API or a
//! folder of manifests. Never decides anything about what the objects say.
//!
//! | module | what it owns |
//! |---|---|
//! | [`directory`] | a folder of manifests: stand-alone mode |
//! | [`kubernetes`] | a Kubernetes API |
//! | [`published`] | what either of them has in force, for whoever looks |

pub mod directory;
pub mod kubernetes;
pub mod published;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use penstock_controller_core::objects::Objects;
use penstock_controller_core::price::PriceTable;
use penstock_controller_core::reconcile::{Refused, StatusWrite, Transition};
use penstock_crds::{ProviderAccount, ProviderAccountSpec};
use penstock_proto::ids::{AccountId, InvalidObjectId, ObjectId};
use penstock_proto::secret::Secret;
use tokio::sync::watch;

use directory::Directory;
use kubernetes::Kubernetes;
use published::Published;

/// Values of a Secret by key.
pub type SecretData = BTreeMap<String, Secret>;
/// A change to an account. Called again if somebody else changed the object in the meantime.
pub type SpecChange = Box<dyn Fn(&mut ProviderAccountSpec) + Send + Sync>;

/// Where objects come from and go to. Cheap to clone.
#[derive(Clone)]
pub enum Cluster {
    /// A folder of manifests.
    Directory(Arc<Directory>),
    /// A Kubernetes API.
    Kubernetes(Arc<Kubernetes>),
}

/// Something in the source that is not in force, and why. Never repeats the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, by its name in the folder.
    pub file: String,
    /// Counted from 1; `None`: it is about the whole file.
    pub line: Option<u64>,
    /// For people: what is wrong and what to do.
    pub message: String,
}

/// Something that began or ended, of which people are told.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// An account changed its state.
    Transition(&'a Transition),
    /// A pool or a grant is not used as it is written.
    Refused(&'a Refused),
}

/// How writes of statuses went.
#[derive(Debug)]
pub struct Written {
    /// One for each, in their order.
    pub outcomes: Vec<Outcome>,
    /// The first that failed, if any did.
    pub failed: Option<WriteError>,
}

/// How a write of a status went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stands in the object.
    Written,
    /// The object is another one by now, or gone: what is to be written is decided anew.
    Superseded,
    /// It may be tried again as it is.
    Failed,
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is no such object.
    #[error("{what} does not exist")]
    NotFound {
        /// Kind and name.
        what: String,
    },
    /// There is one already.
    #[error("{what} exists already")]
    Exists {
        /// Kind and name.
        what: String,
    },
    /// The object would break the rules of its kind.
    #[error("{}", reasons.join("; "))]
    Invalid {
        /// What is wrong, for people; at least one.
        reasons: Vec<String>,
    },
    /// The object comes from somewhere that cannot be written.
    #[error("{what} cannot be changed here: {reason}")]
    ReadOnly {
        /// Kind and name.
        what: String,
        /// What to do instead.
        reason: String,
    },
    /// Somebody else changed it at the same time, again and again.
    #[error("{what} was changed by somebody else at the same time; look at it and try again")]
    Conflict {
        /// Kind and name.
        what: String,
    },
    /// The controller may not write it.
    #[error("the controller may not write {what}: {reason}")]
    Forbidden {
        /// Kind and name.
        what: String,
        /// As the API server says it.
        reason: String,
    },
    /// The API server does not answer, or is not well.
    #[error("{what} could not be written: the API server does not answer")]
    Unavailable {
        /// Kind and name.
        what: String,
        /// Why.
        source: kube::Error,
    },
    /// The source cannot be written now.
    #[error("{path} could not be written")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Outcome {
    /// Stable label for metrics.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }
}

impl WriteError {
    /// Whether the same may succeed later without anybody changing the request.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Conflict { .. } | Self::Unavailable { .. } => true,
            Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::Invalid { .. }
            | Self::ReadOnly { .. }
            | Self::Forbidden { .. } => false,
        }
    }
}

impl From<InvalidObjectId> for WriteError {
    fn from(error: InvalidObjectId) -> Self {
        Self::Invalid { reasons: vec![error.to_string()] }
    }
}

impl Cluster {
    /// The objects as they are and as they become. What a write of this process changed is in it when the
    /// write returns.
    pub fn objects(&self) -> watch::Receiver<Arc<Objects>> {
        self.published().objects()
    }

    /// What is not in force, and why.
    pub fn problems(&self) -> watch::Receiver<Arc<Vec<Problem>>> {
        self.published().problems()
    }

    /// Tells of something that began or ended where people look in the cluster: as an Event. Best effort.
    pub async fn tell(&self, notice: Notice<'_>) {
        match self {
            // The log is all there is.
            Self::Directory(_) => {}
            Self::Kubernetes(kubernetes) => kubernetes.tell(notice).await,
        }
    }

    /// What requests cost, as it is and becomes.
    pub fn prices(&self) -> watch::Receiver<Arc<PriceTable>> {
        self.published().prices()
    }

    /// Creates an account, and the Secret that it refers to if `secret` is not empty.
    ///
    /// # Errors
    /// If either exists, breaks the rules of its kind or cannot be written; nothing is created then.
    pub async fn create_account(
        &self,
        account: ProviderAccount,
        secret: SecretData,
    ) -> Result<(), WriteError> {
        match self {
            Self::Directory(directory) => directory.create_account(account, secret).await,
            Self::Kubernetes(kubernetes) => kubernetes.create_account(account, secret).await,
        }
    }

    /// Changes an account's spec, and the values of `secret` in the Secret that it refers to; other keys of the
    /// Secret stay. A Secret that is not there is created, and an account that names none gets one of its name.
    ///
    /// # Errors
    /// If there is no such account, it would break the rules of its kind, or it cannot be written.
    pub async fn change_account(
        &self,
        id: &AccountId,
        change: SpecChange,
        secret: Option<SecretData>,
    ) -> Result<(), WriteError> {
        match self {
            Self::Directory(directory) => directory.change_account(id, change, secret).await,
            Self::Kubernetes(kubernetes) => kubernetes.change_account(id, change, secret).await,
        }
    }

    /// Deletes an account, and its Secret unless another account uses it.
    ///
    /// # Errors
    /// If there is no such account, or it cannot be deleted.
    pub async fn delete_account(&self, id: &AccountId) -> Result<(), WriteError> {
        match self {
            Self::Directory(directory) => directory.delete_account(id).await,
            Self::Kubernetes(kubernetes) => kubernetes.delete_account(id).await,
        }
    }

    /// Creates a Secret, e.g. a client key's.
    ///
    /// # Errors
    /// If it exists or cannot be written.
    pub async fn create_secret(
        &self,
        id: &ObjectId,
        labels: BTreeMap<String, String>,
        data: SecretData,
    ) -> Result<(), WriteError> {
        match self {
            Self::Directory(directory) => directory.create_secret(id, labels, data).await,
            Self::Kubernetes(kubernetes) => kubernetes.create_secret(id, labels, data).await,
        }
    }

    /// Deletes a Secret.
    ///
    /// # Errors
    /// If it does not exist or cannot be deleted.
    pub async fn delete_secret(&self, id: &ObjectId) -> Result<(), WriteError> {
        match self {
            Self::Directory(directory) => directory.delete_secret(id).await,
            Self::Kubernetes(kubernetes) => kubernetes.delete_secret(id).await,
        }
    }

    /// Writes what a plan says about objects, each only if it still has the version that this was decided on.
    /// Afterwards [`Cluster::objects`] carries the statuses that were written, and reconciling them leaves
    /// nothing to write.
    pub async fn write_status(&self, writes: &[StatusWrite]) -> Written {
        match self {
            Self::Directory(directory) => directory.write_status(writes).await,
            Self::Kubernetes(kubernetes) => kubernetes.write_status(writes).await,
        }
    }

    fn published(&self) -> &Published {
        match self {
            Self::Directory(directory) => directory.published(),
            Self::Kubernetes(kubernetes) => kubernetes.published(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message } = self;
        match line {
            Some(line) => write!(f, "{file}:{line}: {message}"),
            None => write!(f, "{file}: {message}"),
        }
    }
}
