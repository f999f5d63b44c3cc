//! Everything that the controller ever asks the API server for, caused from outside.

use anyhow::Result;

use super::team::Team;

/// Causes it.
pub(crate) async fn exercise(_team: &Team) -> Result<()> {
    Ok(())
}
