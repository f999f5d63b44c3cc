//! In which order accounts and models are gone through: a fallback chain, or the whole pool.

use penstock_proto::snapshot::FallbackTarget;

use crate::pool::PoolView;
use crate::request::{Leg, Request};
use crate::route::Selector;

/// The steps for a request. A chain that matches the model is the whole plan; it says itself where the
/// pool comes in it.
pub(super) fn legs<'a>(request: &'a Request, pool: &'a PoolView) -> impl Iterator<Item = Leg<'a>> {
    let whole = Leg { account: None, selector: &request.selector, model: &request.model };
    // A forced account is a wish for that account, not for a chain.
    let chain = if request.forced.is_some() { &[] } else { pool.fallbacks(&request.model) };
    let of_pool = chain.is_empty().then_some(whole);
    of_pool.into_iter().chain(chain.iter().map(move |target| leg(whole, target)))
}

fn leg<'a>(whole: Leg<'a>, target: &'a FallbackTarget) -> Leg<'a> {
    let account = target.account.as_ref();
    match &target.model {
        // Another model may be another family's.
        Some(model) => Leg { account, selector: &Selector::ByModel, model },
        None => Leg { account, ..whole },
    }
}
