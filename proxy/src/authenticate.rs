//! Stage 2: who calls. The decision is core's; here are the settings it is made with, and the tokens that
//! were verified before.

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proxy_core::authenticate::{Identity, authenticate as decide};
use penstock_proxy_core::headers::Headers;

use crate::respond::Refusal;
use crate::state::{Published, State};

/// Names the caller, or turns it away.
pub(crate) fn authenticate(
    state: &State,
    published: &Published,
    headers: &Headers,
    now: Timestamp,
) -> Result<Arc<Identity>, Refusal> {
    let view = &published.view;
    let remembered = |digest: &_| state.verified.lock().get(&view.issuers, digest, now);
    let caller = decide(&state.access, view, headers, now, remembered).map_err(Refusal::Unauthenticated)?;
    if let Some((digest, token)) = caller.verified {
        state.verified.lock().put(&view.issuers, digest, token);
    }
    Ok(caller.identity)
}
