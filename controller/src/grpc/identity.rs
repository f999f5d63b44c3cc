//! Who a peer is, and what it may see. Its own word on either does not count.

use penstock_controller_core::snapshot::Viewer;
use penstock_proto::secret::Secret;
use subtle::ConstantTimeEq;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// How peers prove who they are. A cluster adds a variant that has a `ServiceAccount`'s token reviewed.
#[derive(Debug)]
pub enum Identity {
    /// All proxies present this token, and see everything: stand-alone.
    SharedToken(Secret),
}

/// A peer that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it may see and report about.
    pub viewer: Viewer,
}

impl Identity {
    /// The peer behind a call, or a refusal that says no more than needed.
    pub fn authenticate(&self, metadata: &MetadataMap) -> Result<Peer, Status> {
        let token = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        match self {
            Self::SharedToken(expected) => {
                // In constant time: how long a wrong one takes says nothing about the right one.
                let same = token.as_bytes().ct_eq(expected.expose().as_bytes());
                if bool::from(same) {
                    Ok(Peer { viewer: Viewer::All })
                } else {
                    Err(Status::unauthenticated("the token is missing or wrong"))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_proves_who_a_peer_is() {
        let identity = Identity::SharedToken(Secret::new("0123456789abcdef"));
        let ask = |value: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", value.parse().unwrap());
            identity.authenticate(&metadata).is_ok()
        };
        assert!(ask("Bearer 0123456789abcdef"));
        for wrong in ["", "Bearer ", "Bearer 0123", "Bearer 0123456789abcdeg", "0123456789abcdef"] {
            assert!(!ask(wrong), "{wrong:?}");
        }
        assert!(identity.authenticate(&MetadataMap::new()).is_err());
    }
}
