//! The controllers that share this database: who they are, and which proxies are connected to them.
//!
//! For people, and for a count in an account's status; nothing is decided by it. Which of them leads is
//! decided elsewhere.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::Store;
use super::error::StoreError;

/// Who was not heard of for ten seconds is gone: a few of its lines are missing.
const OTHERS: &str = "id <> $1 AND seen_at > now() - interval '10 seconds'";

/// What one controller says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Presence {
    /// Unique per process start.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// The proxies that are connected to it.
    pub proxies: Value,
    /// How many of them hold each account.
    pub in_use_by: BTreeMap<String, u32>,
}

impl Store {
    /// Says that this controller is there.
    pub async fn appear(&self, me: &Presence) -> Result<(), StoreError> {
        let Presence { id, name, proxies, in_use_by } = me;
        let sql = "WITH gone AS (DELETE FROM controllers WHERE seen_at < now() - interval '1 hour') \
            INSERT INTO controllers (id, name, seen_at, proxies, in_use_by) VALUES ($1, $2, now(), $3, $4) \
            ON CONFLICT (id) DO UPDATE SET seen_at = now(), proxies = $3, in_use_by = $4";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [id, name, &Json(proxies), &Json(in_use_by)];
        self.client().await?.execute(sql, &values).await.map_err(StoreError::at("say who is there"))?;
        Ok(())
    }

    /// Says that this controller is there as it was before.
    pub async fn stay(&self, id: Uuid) -> Result<bool, StoreError> {
        let sql = "UPDATE controllers SET seen_at = now() WHERE id = $1";
        let updated = self.client().await?.execute(sql, &[&id]).await;
        Ok(updated.map_err(StoreError::at("say who is there"))? > 0)
    }

    /// Says that this controller ends.
    pub async fn disappear(&self, id: Uuid) -> Result<(), StoreError> {
        let sql = "DELETE FROM controllers WHERE id = $1";
        self.client().await?.execute(sql, &[&id]).await.map_err(StoreError::at("say who has gone"))?;
        Ok(())
    }

    /// How many proxies of the other controllers hold each account, by controller.
    pub async fn in_use_elsewhere(&self, me: Uuid) -> Result<Vec<BTreeMap<String, u32>>, StoreError> {
        let step = "ask who is there";
        let sql = format!("SELECT in_use_by FROM controllers WHERE {OTHERS}");
        let rows = self.client().await?.query(&sql, &[&me]).await.map_err(StoreError::at(step))?;
        let counts = rows.iter().map(|row| row.try_get(0).map(|Json(counts)| counts));
        counts.collect::<Result<_, _>>().map_err(StoreError::at(step))
    }

    /// The other controllers, by name.
    pub async fn others(&self, me: Uuid) -> Result<Vec<Presence>, StoreError> {
        let step = "ask who is there";
        let columns = "id, name, proxies, in_use_by";
        let sql = format!("SELECT {columns} FROM controllers WHERE {OTHERS} ORDER BY name, id");
        let rows = self.client().await?.query(&sql, &[&me]).await.map_err(StoreError::at(step))?;
        let presence = |row: &tokio_postgres::Row| {
            let (Json(proxies), Json(in_use_by)) = (row.try_get(2)?, row.try_get(3)?);
            Ok(Presence { id: row.try_get(0)?, name: row.try_get(1)?, proxies, in_use_by })
        };
        rows.iter().map(presence).collect::<Result<_, _>>().map_err(StoreError::at(step))
    }
}
