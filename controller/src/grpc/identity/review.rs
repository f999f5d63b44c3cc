//! ServiceAccounts' tokens, reviewed by the API server. What it said is kept, so that a fleet that reconnects
//! asks it about each token once; while it is away, those it knew stay known until their tokens end.
//!
//! Never keeps or logs a token: what is kept goes by its SHA-256.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use penstock_controller_core::identity::{AUDIENCE, Gateways, Reviewed, Verdict, Workload, Worth, verdict};
use penstock_controller_core::snapshot::Viewer;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::reconcile::Clock;

/// Tokens known at most, some 400 bytes each: twice the pods that one controller is measured with.
const CAPACITY: usize = 20_000;
/// Reviews asked for at the same time: a fleet that reconnects does not crowd out the API server's other callers.
const AT_ONCE: usize = 32;
/// For one review, and for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer is no token of an API server, and nothing to bother it with.
const LONGEST: usize = 16 << 10;

/// Who can say whose a token is.
pub trait Reviewer: Send + Sync {
    /// Reviews a token for our audience. An error: it could not be reviewed now.
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenReviewStatus, anyhow::Error>>;
}

/// What is known of tokens.
pub struct Reviews {
    reviewer: Box<dyn Reviewer>,
    gateways: Gateways,
    clock: Clock,
    turns: Semaphore,
    known: Mutex<HashMap<[u8; 32], Arc<Slot>>>,
}

/// One token. Whoever holds the lock asks; the others wait for the answer.
type Slot = tokio::sync::Mutex<Option<Reviewed>>;

/// A peer that did not prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The token proves nothing.
    #[error(
        "the token is not accepted: it must be a ServiceAccount token of this cluster with the audience penstock"
    )]
    Refused,
    /// Nobody can tell now.
    #[error("the token could not be reviewed now; try again")]
    Unknown,
}

/// The API server of a cluster.
struct ApiServer(Api<TokenReview>);

impl Reviews {
    /// With the API server's word.
    pub fn of_cluster(client: Client, gateways: Gateways, clock: Clock) -> Self {
        Self::new(Box::new(ApiServer(Api::all(client))), gateways, clock)
    }

    /// With somebody's word.
    pub fn new(reviewer: Box<dyn Reviewer>, gateways: Gateways, clock: Clock) -> Self {
        Self { reviewer, gateways, clock, turns: Semaphore::new(AT_ONCE), known: Mutex::default() }
    }

    /// Whose token it is, and what it lets see.
    pub(super) async fn whose(&self, token: &str) -> Result<(Workload, Viewer), Unproven> {
        if token.is_empty() || token.len() > LONGEST {
            return Err(Unproven::Refused);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let slot = self.slot(digest);
        let mut held = slot.lock().await;
        let worth = held.as_ref().map_or(Worth::Nothing, |reviewed| reviewed.worth((self.clock)()));
        if worth != Worth::Counts {
            match self.ask(token).await {
                Ok(verdict) => *held = Some(Reviewed { verdict, at: (self.clock)() }),
                Err(error) if worth == Worth::Spare => {
                    debug!(%error, "a token cannot be reviewed again now; its last review counts on");
                }
                Err(error) => {
                    warn!(error = format!("{error:#}"), "a proxy's token cannot be reviewed");
                    return Err(Unproven::Unknown);
                }
            }
        }
        match held.as_ref().map(|reviewed| &reviewed.verdict) {
            Some(Verdict::Workload { workload, .. }) => {
                Ok((workload.clone(), self.gateways.viewer(workload)))
            }
            Some(Verdict::Refused) | None => Err(Unproven::Refused),
        }
    }

    async fn ask(&self, token: &str) -> Result<Verdict, anyhow::Error> {
        let asked = async {
            let _turn = self.turns.acquire().await?;
            self.reviewer.review(token).await
        };
        Ok(verdict(&tokio::time::timeout(PATIENCE, asked).await??, token))
    }

    fn slot(&self, digest: [u8; 32]) -> Arc<Slot> {
        let mut known = self.known.lock();
        if known.len() >= CAPACITY && !known.contains_key(&digest) {
            self.make_room(&mut known);
        }
        Arc::clone(known.entry(digest).or_default())
    }

    /// Forgets what is worth nothing, then what is easiest to ask for again; what is being asked for stays.
    fn make_room(&self, known: &mut HashMap<[u8; 32], Arc<Slot>>) {
        let now = (self.clock)();
        let worth = |slot: &Slot| match slot.try_lock() {
            Ok(held) => held.as_ref().map_or(Worth::Nothing, |reviewed| reviewed.worth(now)),
            Err(_) => Worth::Counts,
        };
        known.retain(|_, slot| worth(slot) != Worth::Nothing);
        if known.len() >= CAPACITY {
            let mut kept = 0;
            known.retain(|_, slot| {
                kept += usize::from(kept < CAPACITY / 2);
                kept < CAPACITY / 2 || slot.try_lock().is_err()
            });
        }
    }
}

impl Reviewer for ApiServer {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenReviewStatus, anyhow::Error>> {
        Box::pin(async move {
            let spec =
                TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
            let review = TokenReview { spec, ..TokenReview::default() };
            let reviewed = self.0.create(&PostParams::default(), &review).await?;
            Ok(reviewed.status.unwrap_or_default())
        })
    }
}

impl fmt::Debug for Reviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviews").field("gateways", &self.gateways).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
