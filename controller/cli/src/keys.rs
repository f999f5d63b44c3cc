//! `penstock keys …`: client keys for callers that are not on this machine.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::{ApiArgs, encode};
use crate::output::{Format, table};

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key; it is shown once, only its hash is kept
    Create(KeyArgs),
    /// List the keys by name
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Revoke a key; requests with it are refused from then on
    Revoke(KeyArgs),
}

#[derive(Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Name of the key, shown in the history
    name: String,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Serialize, Deserialize)]
struct Key {
    name: String,
    namespace: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Created {
    key: String,
}

pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::Create(args) => {
            let created: Created =
                args.api.connect()?.post("/api/keys", &json!({ "name": args.name })).await?;
            eprintln!("Key {} (shown only now; clients send it as their API key):", args.name);
            println!("{}", created.key);
        }
        KeysCommand::List(args) => {
            let keys: Vec<Key> = args.api.connect()?.get("/api/keys").await?;
            args.output.print(&keys, |keys| {
                let mut rows = table(&["name", "namespace"]);
                rows.add_rows(keys.iter().map(|key| [key.name.clone(), key.namespace.clone()]));
                rows
            })?;
        }
        KeysCommand::Revoke(args) => {
            let path = format!("/api/keys/{}", encode(&args.name));
            let _: Value = args.api.connect()?.delete(&path, &json!({ "confirm": args.name })).await?;
            println!("key {} revoked", args.name);
        }
    }
    Ok(())
}
