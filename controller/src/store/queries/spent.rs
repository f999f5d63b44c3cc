//! What accounts have spent since a period began: what budgets are held against.

use std::collections::BTreeMap;

use jiff::Timestamp;
use penstock_controller_core::budget::Spent;
use penstock_controller_core::price::NanoUsd;
use penstock_proto::ids::AccountId;

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::rollup::Table;

impl Store {
    /// What these accounts have spent since a midnight in UTC, each with an entry. Requests without a price
    /// cost nothing.
    pub async fn spent(
        &self,
        since: Timestamp,
        accounts: &[AccountId],
    ) -> Result<BTreeMap<AccountId, Spent>, StoreError> {
        let step = "sum up what accounts have spent";
        // A sum of bigints is a numeric.
        let sql = format!(
            "SELECT account, least(sum(cost_nano_usd), 9223372036854775807)::bigint FROM {} \
             WHERE bucket >= $1 AND account = ANY($2) GROUP BY account",
            Table::Day.name()
        );
        let names: Vec<_> = accounts.iter().map(AccountId::as_str).collect();
        let rows = self.client().await?.query(&sql, &[&since, &names]).await.map_err(StoreError::at(step))?;
        let mut sums = BTreeMap::<String, i64>::new();
        for row in rows {
            sums.insert(
                row.try_get(0).map_err(StoreError::at(step))?,
                row.try_get(1).map_err(StoreError::at(step))?,
            );
        }
        let spent = |id: &AccountId| {
            let nanos = sums.get(id.as_str()).copied().unwrap_or_default();
            Spent { since, micros: NanoUsd(u64::try_from(nanos).unwrap_or_default()).micros() }
        };
        Ok(accounts.iter().map(|id| (id.clone(), spent(id))).collect())
    }
}
