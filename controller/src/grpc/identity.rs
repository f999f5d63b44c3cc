//! Who a peer is, and what it may see. Its own word on either does not count.
//!
//! | module | what it owns |
//! |---|---|
//! | [`review`] | ServiceAccounts' tokens, reviewed by the API server, and what it said of them |
//!
//! A stream is as its token was when it began: a ServiceAccount that is deleted afterwards keeps it until the
//! stream's age ends it, twenty minutes at most. What the stream shows follows the plan at once.

use std::sync::Arc;

use penstock_controller_core::identity::Workload;
use penstock_controller_core::snapshot::Viewer;
use penstock_proto::peer::ProxyIdentity;
use penstock_proto::secret::Secret;
use subtle::ConstantTimeEq;
use tonic::Status;
use tonic::metadata::MetadataMap;

pub mod review;

use review::{Reviews, Unproven};

/// How peers prove who they are. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Identity {
    /// All proxies present this token, and see everything: stand-alone.
    SharedToken(Secret),
    /// Each presents the token of its pod's ServiceAccount: in a cluster.
    TokenReview(Arc<Reviews>),
}

/// A peer that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it may see and report about.
    pub viewer: Viewer,
    /// Which workload it is; `None`: stand-alone, where its own word counts.
    pub workload: Option<Workload>,
}

impl Identity {
    /// The peer behind a call, or a refusal that says no more than needed.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`: the token proves nothing. `UNAVAILABLE`: nobody can tell now; asking again helps.
    pub async fn authenticate(&self, metadata: &MetadataMap) -> Result<Peer, Status> {
        let token = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        match self {
            Self::SharedToken(expected) => {
                // In constant time: how long a wrong one takes says nothing about the right one.
                let same = token.as_bytes().ct_eq(expected.expose().as_bytes());
                if bool::from(same) {
                    Ok(Peer { viewer: Viewer::All, workload: None })
                } else {
                    Err(Status::unauthenticated("the token is missing or wrong"))
                }
            }
            Self::TokenReview(reviews) => match reviews.whose(token).await {
                Ok((workload, viewer)) => Ok(Peer { viewer, workload: Some(workload) }),
                Err(unproven @ Unproven::Refused) => Err(Status::unauthenticated(unproven.to_string())),
                Err(unproven @ Unproven::Unknown) => Err(Status::unavailable(unproven.to_string())),
            },
        }
    }
}

impl Peer {
    /// How it is shown: what it says of itself, but for what it proved.
    pub(super) fn introduced(&self, said: ProxyIdentity) -> ProxyIdentity {
        let Some(workload) = &self.workload else { return said };
        let Workload { namespace, service_account: _, pod } = workload.clone();
        let role = if self.viewer == Viewer::All { "gateway" } else { "sidecar" };
        let ProxyIdentity { id, version, namespace: _, pod: _, role: _ } = said;
        ProxyIdentity { id, version, namespace, pod, role: role.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_whole_token_proves_who_a_peer_is() {
        let identity = Identity::SharedToken(Secret::new("0123456789abcdef"));
        let ask = async |value: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", value.parse().unwrap());
            identity.authenticate(&metadata).await.is_ok()
        };
        assert!(ask("Bearer 0123456789abcdef").await);
        for wrong in ["", "Bearer ", "Bearer 0123", "Bearer 0123456789abcdeg", "0123456789abcdef"] {
            assert!(!ask(wrong).await, "{wrong:?}");
        }
        assert!(identity.authenticate(&MetadataMap::new()).await.is_err());
    }
}
