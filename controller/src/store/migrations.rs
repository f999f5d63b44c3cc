//! The tables, in numbered steps that are applied once each and never changed afterwards.

use deadpool_postgres::{Client, Object};

use super::error::StoreError;

/// Holds controllers that start at the same time apart. Any number will do that nobody else uses.
const LOCK: i64 = 0x0070_656e_7374_6f63;

mod scripts {
    refinery::embed_migrations!("src/store/migrations");
}

/// Applies what is missing. The connection is used up: with it go the lock and its settings.
pub(super) async fn run(client: Client) -> Result<(), StoreError> {
    let step = "take turns for the migration";
    let mut client = Object::take(client);
    // A large table may take its time, and so may another controller before us.
    client.batch_execute("SET statement_timeout = 0").await.map_err(StoreError::at(step))?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(StoreError::at(step))?;
    // While an upgrade is rolled out, or rolled back, controllers of the version before meet tables that are
    // ahead of them: steps only add, or change what no statement names.
    let runner = scripts::migrations::runner().set_abort_missing(false);
    let applied = runner.run_async(&mut *client).await;
    applied.map(|_| ()).map_err(|source| StoreError::Migration { source: Box::new(source) })
}
