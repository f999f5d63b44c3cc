//! Tells the owners of objects what proxies refused of them: each refusal once. The log has it where it is heard.
//! Never decides what a refusal means: the proxy keeps the last good one.

use std::collections::BTreeSet;
use std::time::Duration;

use penstock_controller_core::reconcile::Refused;
use penstock_controller_core::validate::Kind;
use penstock_proto::ids::ResourceKind;
use penstock_proto::resource::Refusal;
use tokio_util::sync::CancellationToken;

use crate::proxies::Registry;

/// A thousand proxies that refuse the same do so within this time.
const TOGETHER: Duration = Duration::from_secs(1);

/// The reason of the Events.
const REASON: &str = "RefusedByProxy";

/// Tells until `stop`.
pub async fn run<F>(tell: impl Fn(Refused) -> F, registry: Registry, stop: CancellationToken)
where
    F: Future<Output = ()>,
{
    let mut changes = registry.changes();
    let mut told = BTreeSet::new();
    let telling = async {
        // An error means that the registry has gone, and with it the process.
        while changes.changed().await.is_ok() {
            tokio::time::sleep(TOGETHER).await;
            changes.borrow_and_update();
            let refused: BTreeSet<_> =
                registry.list().iter().flat_map(|proxy| &proxy.refusals).filter_map(of_object).collect();
            for one in refused.difference(&told) {
                tell(one.clone()).await;
            }
            told = refused;
        }
    };
    stop.run_until_cancelled(telling).await;
}

/// What a refusal says about an object; `None`: it is about none.
fn of_object(refusal: &Refusal) -> Option<Refused> {
    let Refusal { key, version: _, reason } = refusal;
    let (kind, name) = match key.kind {
        ResourceKind::Account | ResourceKind::AccountState => (Kind::Account, key.name.as_str()),
        ResourceKind::Pool => (Kind::Pool, key.name.as_str()),
        // A grant has a resource for each of its client keys: `namespace/grant.key`.
        ResourceKind::Grant => (Kind::Grant, key.name.rsplit_once('.')?.0),
        ResourceKind::TokenIssuer | ResourceKind::Other(_) => return None,
    };
    let message = format!("a proxy cannot use it and keeps the last version that it could: {reason}");
    Some(Refused { kind, id: name.parse().ok()?, reason: REASON.to_owned(), message })
}

#[cfg(test)]
mod tests {
    use penstock_proto::ids::ResourceKey;

    use super::*;

    #[test]
    fn a_refusal_is_told_of_the_object_that_it_is_about() {
        let of = |kind, name: &str| {
            let key = ResourceKey { kind, name: name.to_owned() };
            of_object(&Refusal { key, version: String::new(), reason: "odd".to_owned() })
                .map(|one| (one.kind, one.id.to_string()))
        };
        assert_eq!(of(ResourceKind::AccountState, "llm/a"), Some((Kind::Account, "llm/a".into())));
        assert_eq!(of(ResourceKind::Pool, "llm/p"), Some((Kind::Pool, "llm/p".into())));
        assert_eq!(of(ResourceKind::Grant, "llm/g.key"), Some((Kind::Grant, "llm/g".into())));
        assert_eq!(of(ResourceKind::Other(9), "x"), None);
    }
}
