//! Stage 2: who calls. The decision is core's; here are the settings it is made with.

use std::sync::Arc;

use http::HeaderMap;
use penstock_proxy_core::authenticate::{Identity, authenticate as decide};

use crate::respond::Refusal;
use crate::state::{Published, State};

/// Names the caller, or turns it away.
pub(crate) fn authenticate(
    state: &State,
    published: &Published,
    headers: &HeaderMap,
) -> Result<Arc<Identity>, Refusal> {
    decide(&state.access, &published.view.keys, headers).map_err(Refusal::Unauthenticated)
}
