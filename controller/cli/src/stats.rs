//! `penstock stats`: totals of the history.

use clap::Args;
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::ApiArgs;
use crate::output::{Format, count, dollars, table};

/// Show totals of the history.
#[derive(Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    total_requests: u64,
    /// Percent.
    success_rate: f64,
    active_accounts: u64,
    /// Milliseconds.
    avg_response_time: f64,
    total_tokens: u64,
    total_cost_usd: f64,
    #[serde(default)]
    top_models: Vec<ModelShare>,
    #[serde(default)]
    accounts: Vec<AccountShare>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ModelShare {
    model: String,
    count: u64,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountShare {
    name: String,
    request_count: u64,
    /// Percent.
    success_rate: f64,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

pub(crate) async fn run(args: StatsArgs) -> anyhow::Result<()> {
    let stats: Stats = args.api.connect()?.get("/api/stats").await?;
    args.output.print(&stats, totals)
}

fn totals(stats: &Stats) -> Table {
    let mut rows = table(&["what", "how much"]);
    rows.add_row(["requests".to_owned(), count(stats.total_requests)]);
    rows.add_row(["successful".to_owned(), format!("{:.1} %", stats.success_rate)]);
    rows.add_row(["tokens".to_owned(), count(stats.total_tokens)]);
    rows.add_row(["cost".to_owned(), dollars(Some(stats.total_cost_usd))]);
    rows.add_row(["average time".to_owned(), format!("{:.0} ms", stats.avg_response_time)]);
    rows.add_row(["accounts in use".to_owned(), stats.active_accounts.to_string()]);
    for model in &stats.top_models {
        rows.add_row([format!("model {}", model.model), count(model.count)]);
    }
    for account in &stats.accounts {
        let share = format!("{}, {:.1} % ok", count(account.request_count), account.success_rate);
        rows.add_row([format!("account {}", account.name), share]);
    }
    rows
}
