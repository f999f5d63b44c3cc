//! `penstock accounts …`: a view of the accounts, and the few changes people make by hand.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::{Api, ApiArgs, encode};
use crate::output::{Format, bar, table, until};

#[derive(Subcommand)]
pub(crate) enum AccountsCommand {
    /// List the accounts with their state and tightest window
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Add an account by API key (read from standard input or --api-key-env)
    Add(AddArgs),
    /// Take an account out of use; requests that are running end normally
    Pause(OneArgs),
    /// Put a paused account back into use
    Resume(OneArgs),
    /// Delete an account and its credential
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// Show everything about one account
    Describe(DescribeArgs),
}

#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Name of the new account, e.g. claude-1
    name: String,
    /// anthropic, openai, claude-code, codex, anthropic-compatible, openai-compatible, zai, openrouter, …
    #[arg(long)]
    provider: String,
    /// Where the provider is; needed for *-compatible
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// 0–100, lower first
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    priority: u8,
    /// Take the key from this environment variable instead of standard input
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
}

#[derive(Args)]
pub(crate) struct OneArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// name, or namespace/name
    account: String,
}

#[derive(Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What the list and `penstock up` need of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) limited_until: Option<Timestamp>,
    #[serde(default)]
    pub(crate) priority: u8,
    #[serde(default)]
    pub(crate) windows: Vec<Window>,
    #[serde(default)]
    pub(crate) request_count: u64,
    /// Everything else, so that `-o json` prints it all.
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// One limit window as the API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Window {
    name: String,
    utilization: f64,
    #[serde(default)]
    resets_at: Option<Timestamp>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

pub(crate) async fn run(command: AccountsCommand) -> anyhow::Result<()> {
    match command {
        AccountsCommand::List(args) => {
            let accounts = list(&args.api.connect()?).await?;
            args.output.print(&accounts, |accounts| overview(accounts))
        }
        AccountsCommand::Add(args) => add(args).await,
        AccountsCommand::Pause(args) => act(&args, "pause", "paused").await,
        AccountsCommand::Resume(args) => act(&args, "resume", "in use again").await,
        AccountsCommand::Remove(args) => remove(args).await,
        AccountsCommand::Describe(args) => {
            let account: Value = args.one.api.connect()?.get(&path(&args.one.account, "")).await?;
            args.output.print(&account, description)
        }
    }
}

/// All accounts, as the API lists them.
pub(crate) async fn list(api: &Api) -> anyhow::Result<Vec<Account>> {
    api.get("/api/accounts").await
}

/// The table of `penstock accounts list`.
pub(crate) fn overview(accounts: &[Account]) -> Table {
    let now = Timestamp::now();
    let mut rows =
        table(&["name", "provider", "state", "tightest window", "resets in", "priority", "requests"]);
    for account in accounts {
        let tightest = account.windows.iter().max_by(|a, b| a.utilization.total_cmp(&b.utilization));
        let window =
            tightest.map_or_else(|| "-".to_owned(), |w| format!("{} {}", bar(w.utilization), w.name));
        let resets = account.limited_until.or(tightest.and_then(|w| w.resets_at));
        let state = match account.reason.as_deref() {
            Some(reason) if account.state != "Available" && !reason.is_empty() => {
                format!("{} ({reason})", account.state)
            }
            _ => account.state.clone(),
        };
        rows.add_row([
            account.id.strip_prefix("default/").unwrap_or(&account.id).to_owned(),
            account.provider.clone(),
            state,
            window,
            until(resets, now),
            account.priority.to_string(),
            account.request_count.to_string(),
        ]);
    }
    rows
}

async fn add(args: AddArgs) -> anyhow::Result<()> {
    let key = match &args.api_key_env {
        Some(name) => crate::settings::variable(name)?,
        None => read_key()?,
    };
    let body = json!({
        "name": args.name,
        "provider": args.provider,
        "baseUrl": args.base_url,
        "priority": args.priority,
        "apiKey": key.trim(),
    });
    let _: Value = args.api.connect()?.post("/api/accounts", &body).await?;
    println!("account {} added", args.name);
    Ok(())
}

fn read_key() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        eprintln!("Paste the API key and press Enter:");
    }
    let mut key = String::new();
    std::io::stdin().lock().read_line(&mut key).context("reading the API key from standard input")?;
    if key.trim().is_empty() {
        bail!("no API key on standard input; try: echo \"$MY_KEY\" | penstock accounts add …");
    }
    Ok(key)
}

async fn act(args: &OneArgs, action: &str, done: &str) -> anyhow::Result<()> {
    let _: Value = args.api.connect()?.post(&path(&args.account, action), &json!({})).await?;
    println!("account {} {done}", args.account);
    Ok(())
}

async fn remove(args: RemoveArgs) -> anyhow::Result<()> {
    let account = &args.one.account;
    if !args.yes {
        eprint!("Delete account {account} and its credential? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).context("reading the answer")?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was deleted");
        }
    }
    let name = account.rsplit('/').next().unwrap_or(account);
    let _: Value = args.one.api.connect()?.delete(&path(account, ""), &json!({ "confirm": name })).await?;
    println!("account {account} removed");
    Ok(())
}

fn path(account: &str, action: &str) -> String {
    let separator = if action.is_empty() { "" } else { "/" };
    format!("/api/accounts/{}{separator}{action}", encode(account))
}

fn description(account: &Value) -> Table {
    let mut rows = table(&["field", "value"]);
    let mut pending = vec![(String::new(), account)];
    while let Some((prefix, value)) = pending.pop() {
        let name = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(map) => pending.extend(map.iter().rev().map(|(key, value)| (name(key), value))),
            Value::Array(list) => {
                pending.extend(list.iter().enumerate().rev().map(|(i, value)| (name(&i.to_string()), value)));
            }
            Value::Null => {}
            Value::String(text) => drop(rows.add_row([prefix, text.clone()])),
            other => drop(rows.add_row([prefix, other.to_string()])),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_shows_the_tightest_window_and_why_an_account_rests() {
        let accounts: Vec<Account> = serde_json::from_value(json!([{
            "id": "default/a", "name": "a", "provider": "anthropic", "state": "Limited",
            "reason": "FiveHourWindowExhausted", "priority": 3, "requestCount": 12,
            "windows": [
                {"name": "seven_day", "utilization": 20.0},
                {"name": "five_hour", "utilization": 100.0, "status": "rejected"}
            ]
        }]))
        .unwrap();
        let text = overview(&accounts).to_string();
        assert!(text.contains("Limited (FiveHourWindowExhausted)"), "{text}");
        assert!(text.contains("100% five_hour"), "{text}");
    }

    #[test]
    fn a_namespaced_account_is_one_path_segment() {
        assert_eq!(path("llm/a", "pause"), "/api/accounts/llm%2Fa/pause");
    }
}
