//! ServiceAccounts' tokens, reviewed by the API server. What it said is kept, so that a fleet that reconnects
//! asks it about each token once; while it is away, those it knew stay known until their tokens end.
//!
//! Never keeps or logs a token: what is kept goes by its SHA-256.

use std::fmt;

use futures_util::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use penstock_controller_core::identity::{AUDIENCE, Gateways, Reviewed, Verdict, Workload, verdict};
use penstock_controller_core::snapshot::Viewer;
use tracing::warn;

use crate::known::{Known, LONGEST_TOKEN, digest};
use crate::metrics::Asked;
use crate::reconcile::Clock;

/// Tokens known at most, some 400 bytes each: twice the pods that one controller is measured with.
const CAPACITY: usize = 20_000;

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
    known: Known<[u8; 32], Reviewed>,
}

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
    pub fn of_cluster(client: Client, gateways: Gateways, clock: Clock, asked: Asked) -> Self {
        Self::new(Box::new(ApiServer(Api::all(client))), gateways, clock, asked)
    }

    /// With somebody's word.
    pub fn new(reviewer: Box<dyn Reviewer>, gateways: Gateways, clock: Clock, asked: Asked) -> Self {
        let known = Known::new(CAPACITY, clock.clone(), asked);
        Self { reviewer, gateways, clock, known }
    }

    /// Whose token it is, and what it lets see.
    pub(super) async fn whose(&self, token: &str) -> Result<(Workload, Viewer), Unproven> {
        if token.is_empty() || token.len() > LONGEST_TOKEN {
            return Err(Unproven::Refused);
        }
        let ask = async {
            let verdict = verdict(&self.reviewer.review(token).await?, token);
            Ok(Reviewed { verdict, at: (self.clock)() })
        };
        match self.known.get(digest(token), ask).await.map(|reviewed| reviewed.verdict) {
            Ok(Verdict::Workload { workload, .. }) => {
                let viewer = self.gateways.viewer(&workload);
                Ok((workload, viewer))
            }
            Ok(Verdict::Refused) => Err(Unproven::Refused),
            Err(error) => {
                warn!(error = format!("{error:#}"), "a proxy's token cannot be reviewed");
                Err(Unproven::Unknown)
            }
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
