//! The rows in Postgres, asked for as its own user with its own client.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use penstock_e2e::{Cluster, until};
use serde::Deserialize;

use super::installation::NAMESPACE;
use super::workload::Outcome;

/// `psql` without `cat`, which the image does not have.
const PSQL: &str = r#"read -r PGPASSWORD </etc/postgres-password/password || :; export PGPASSWORD
exec psql --host=127.0.0.1 --username=penstock --dbname=penstock --no-align --tuples-only --command="$1""#;

/// A pod that runs Postgres by our image.
pub(crate) struct Database {
    pub(crate) namespace: &'static str,
    pub(crate) pod: &'static str,
}

/// The one of the chart.
const BUNDLED: Database = Database { namespace: NAMESPACE, pod: "penstock-postgres-0" };

/// A request in the history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Row {
    /// The one that the client saw as `x-penstock-request-id`.
    pub(crate) id: String,
    /// The caller's pod.
    pub(crate) pod: String,
    /// The caller's ServiceAccount.
    pub(crate) service_account: String,
    /// The account that served, as `namespace/name`.
    pub(crate) account: String,
    /// What the client got.
    pub(crate) status: u16,
    /// How it ended.
    pub(crate) ending: String,
}

/// What `psql` prints for a query.
pub(crate) async fn query_in(database: &Database, cluster: &Cluster, sql: &str) -> Result<String> {
    let command = ["sh", "-c", PSQL, "sh", sql];
    let printed = cluster.exec(database.namespace, database.pod, "postgres", &command).await;
    printed.with_context(|| sql.to_owned())
}

/// All rows of a namespace's workloads.
pub(crate) async fn rows(cluster: &Cluster, namespace: &str) -> Result<Vec<Row>> {
    rows_in(&BUNDLED, cluster, namespace).await
}

async fn rows_in(database: &Database, cluster: &Cluster, namespace: &str) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT json_build_object('id', id, 'pod', caller_pod, 'service_account', caller_service_account, \
         'account', account, 'status', status, 'ending', ending) \
         FROM requests WHERE caller_namespace = '{namespace}'"
    );
    let printed = query_in(database, cluster, &sql).await?;
    printed.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Waits until every request that the workloads know of has its one row, and no row is of another request.
pub(crate) async fn is_complete(cluster: &Cluster, namespace: &str, outcome: &Outcome) -> Result<Vec<Row>> {
    is_complete_in(&BUNDLED, cluster, namespace, outcome).await
}

/// The same in another database.
pub(crate) async fn is_complete_in(
    database: &Database,
    cluster: &Cluster,
    namespace: &str,
    outcome: &Outcome,
) -> Result<Vec<Row>> {
    until("one row for each request", async || {
        let rows = rows_in(database, cluster, namespace).await?;
        let stored: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let known: BTreeSet<&str> = outcome.ids().collect();
        ensure!(known.len() == outcome.requests(), "two requests have the same id, or one has none");
        let lost: Vec<_> = known.difference(&stored).collect();
        let double: Vec<_> = stored.difference(&known).collect();
        ensure!(
            lost.is_empty() && double.is_empty() && rows.len() == known.len(),
            "{} requests, {} rows; without a row: {lost:?}; rows of no request: {double:?}",
            known.len(),
            rows.len()
        );
        Ok(rows)
    })
    .await
}
