//! `penstock requests [--follow]`: the history of the pool, and what happens now.

use anyhow::Context;
use clap::Args;
use comfy_table::Table;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Api, ApiArgs, encode};
use crate::output::{Format, count, dollars, table};

/// Show the requests that went through the pool, newest first.
#[derive(Args)]
pub(crate) struct RequestsArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print requests as they end, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many
    #[arg(short = 'n', long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Only those answered by this account
    #[arg(long)]
    account: Option<String>,
    /// Only those that asked for this model
    #[arg(long)]
    model: Option<String>,
    /// success, error, or a status code
    #[arg(long)]
    status: Option<String>,
    /// How to print; with --follow, json prints one line a request
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What the table shows of a history row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    received_at: Timestamp,
    finished_at: Timestamp,
    path: String,
    account: String,
    model_asked: String,
    status: u16,
    ending: String,
    #[serde(default)]
    attempts: Vec<Value>,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    cache_read_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    reasoning_tokens: u64,
    #[serde(default)]
    cost_usd: Option<f64>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Page {
    requests: Vec<Row>,
}

/// One message of the live stream; other types are passed over.
#[derive(Deserialize)]
struct Live {
    #[serde(rename = "type")]
    kind: String,
    payload: Option<Row>,
}

const COLUMNS: [&str; 9] = ["time", "path", "model", "account", "status", "tries", "in/out", "cost", "took"];

pub(crate) async fn run(args: RequestsArgs) -> anyhow::Result<()> {
    let api = args.api.connect()?;
    if args.follow {
        return follow(&api, args.output).await;
    }
    let mut path = format!("/api/requests?limit={}", args.limit);
    for (name, value) in [("account", &args.account), ("model", &args.model), ("status", &args.status)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    let page: Page = api.get(&path).await?;
    args.output.print(&page.requests, |rows| listing(rows))
}

async fn follow(api: &Api, format: Format) -> anyhow::Result<()> {
    let mut body = api.stream("/api/requests/stream").await?;
    let mut pending = String::new();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            _ = &mut interrupted => return Ok(()),
        };
        let Some(frame) = frame else { anyhow::bail!("the controller ended the stream") };
        let Ok(data) = frame.context("reading the live stream")?.into_data() else { continue };
        pending.push_str(&String::from_utf8_lossy(&data));
        while let Some(end) = pending.find('\n') {
            let line: String = pending.drain(..=end).collect();
            if let Some(row) = line.strip_prefix("data:").and_then(live_row) {
                show(&row, format)?;
            }
        }
    }
}

fn live_row(data: &str) -> Option<Row> {
    let live: Live = serde_json::from_str(data.trim()).ok()?;
    if live.kind == "summary" { live.payload } else { None }
}

fn show(row: &Row, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => println!("{}", cells(row).join("  ")),
        Format::Json => println!("{}", serde_json::to_string(row)?),
        Format::Yaml => print!("---\n{}", serde_saphyr::to_string(row).context("writing YAML")?),
    }
    Ok(())
}

fn listing(rows: &[Row]) -> Table {
    let mut listing = table(&COLUMNS);
    listing.add_rows(rows.iter().map(cells));
    listing
}

fn cells(row: &Row) -> [String; 9] {
    let took = row.finished_at.duration_since(row.received_at);
    let read = row.input_tokens.saturating_add(row.cache_read_tokens);
    let written = row.output_tokens.saturating_add(row.reasoning_tokens);
    let status = if row.ending == "complete" {
        row.status.to_string()
    } else {
        format!("{} {}", row.status, row.ending)
    };
    [
        row.received_at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string(),
        row.path.clone(),
        or_dash(&row.model_asked),
        or_dash(row.account.strip_prefix("default/").unwrap_or(&row.account)),
        status,
        row.attempts.len().to_string(),
        format!("{}/{}", count(read), count(written)),
        dollars(row.cost_usd),
        milliseconds(took),
    ]
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn milliseconds(took: SignedDuration) -> String {
    match took.as_millis() {
        ms @ ..=9_999 => format!("{ms}ms"),
        ms => format!("{}s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_over_request_shows_its_tries_and_ending() {
        let row: Row = serde_json::from_value(serde_json::json!({
            "receivedAt": "2026-11-21T10:00:00Z", "finishedAt": "2026-11-21T10:00:01.5Z",
            "path": "/v1/messages", "account": "default/b", "modelAsked": "claude-opus-5",
            "status": 200, "ending": "truncated", "attempts": [{}, {}],
            "inputTokens": 1200, "outputTokens": 40, "costUsd": 0.0123
        }))
        .unwrap();
        let cells = cells(&row);
        assert_eq!(cells[3..9], ["b", "200 truncated", "2", "1200/40", "$0.0123", "1500ms"]);
    }
}
