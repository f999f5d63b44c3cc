//! How a controller does with many accounts, each with a Secret of its own, on a real API server: from its start until
//! it knows them all and could tell a proxy, what memory that takes, and how soon a change is known then. Prints; judges
//! nothing. History leads nowhere.
//!
//! `cargo bench -p penstock-e2e --bench accounts -- --programs target/release [ACCOUNTS]`

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use penstock_crds::ProviderAccount;
use penstock_e2e::process::Process;
use penstock_e2e::scratch::Scratch;
use penstock_e2e::{ApiServer, namespace, product, web};
use serde_json::{Value, json};

/// Without an argument.
const ACCOUNTS: usize = 10_000;
/// In each namespace.
const TOGETHER: usize = 100;
/// Objects made at the same time.
const AT_ONCE: usize = 32;
/// For the controller to know them all.
const LONGEST: Duration = Duration::from_secs(600);
/// Changes made one after the other.
const CHANGES: usize = 20;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let accounts = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(ACCOUNTS);
    let programs = arguments.iter().skip_while(|argument| *argument != "--programs").nth(1);
    let programs = programs.map_or_else(product::programs, |folder| Ok(PathBuf::from(folder)))?;
    let (server, scratch) = (ApiServer::start().await?, Scratch::new("accounts")?);
    server.apply_crds().await?;
    let began = Instant::now();
    let own = make(&server.client(), accounts).await?;
    println!("{accounts} accounts with a Secret each, made in {:.1?}", began.elapsed());

    let log = scratch.join("controller.log");
    let began = Instant::now();
    let mut controller = start(&server, &scratch, &programs, &own, &log)?;
    let api = line(&mut controller, &log, began).await?;
    println!("ready to tell proxies of all accounts after {:.1?}", began.elapsed());
    println!("memory {}", memory(&controller)?);
    let token = admin_token(&server.client(), &own).await?;
    let statuses = until_all_stand(&server.client(), accounts, began).await?;
    println!("every status written after {statuses:.1?}, memory {}", memory(&controller)?);
    println!(
        "a change is known after {:.0?} (median of {CHANGES})",
        change(&server, &own, &api, &token).await?
    );
    println!("memory {}", memory(&controller)?);
    Ok(())
}

/// The first of the namespaces, in which the installation is.
async fn make(client: &Client, accounts: usize) -> Result<String> {
    let count = accounts.div_ceil(TOGETHER);
    let namespaces: Vec<String> =
        stream::iter(0..count).then(|_| namespace::create(client)).try_collect().await?;
    let one = async |number: usize| -> Result<()> {
        let (name, namespace) = (format!("account-{number:05}"), &namespaces[number / TOGETHER]);
        let secret = json!({"metadata": {"name": name}, "stringData": {"apiKey": format!("sk-{number}")}});
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        let account = json!({
            "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": name},
            "spec": {"provider": "anthropic", "credentials": {"secretRef": {"name": name}}},
        });
        let all = Api::<ProviderAccount>::namespaced(client.clone(), namespace);
        all.create(&PostParams::default(), &serde_json::from_value(account)?).await?;
        Ok(())
    };
    stream::iter((0..accounts).map(one)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    namespaces.into_iter().next().context("no account")
}

fn start(server: &ApiServer, scratch: &Scratch, programs: &Path, own: &str, log: &Path) -> Result<Process> {
    let mut command = Command::new(programs.join("penstock-controller"));
    let data = scratch.join("data");
    command.args(["--source", "kubernetes", "--own-namespace", own, "--pod", "one"]).arg("--data").arg(data);
    command.args(["--api-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--log", "warn"]);
    command.args(["--database-url", "postgres://nobody@127.0.0.1:1/none?sslmode=disable"]);
    Process::start(command.env("KUBECONFIG", server.kubeconfig()), log)
}

/// Waits until it says where it listens, which it does once it knows everything.
async fn line(controller: &mut Process, log: &Path, began: Instant) -> Result<String> {
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if let Some(said) = text.lines().find_map(|line| serde_json::from_str::<Value>(line).ok()) {
            return Ok(said["api"].as_str().context("no address")?.to_owned());
        }
        ensure!(began.elapsed() < LONGEST, "it does not get to know them: {text}");
        controller.check()?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What it holds, and the most that it held.
fn memory(controller: &Process) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", controller.id()))?;
    let mebibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
    };
    Ok(format!("{} MiB, at most {} MiB", mebibytes("VmRSS:"), mebibytes("VmHWM:")))
}

async fn until_all_stand(client: &Client, accounts: usize, began: Instant) -> Result<Duration> {
    loop {
        let all = Api::<ProviderAccount>::all(client.clone()).list(&ListParams::default()).await?;
        if all.iter().filter(|account| account.status.is_some()).count() == accounts {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < LONGEST, "statuses are missing");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn admin_token(client: &Client, own: &str) -> Result<String> {
    let secret = Api::<Secret>::namespaced(client.clone(), own).get("penstock-admin-token").await?;
    let token = secret.data.context("no data")?.remove("token").context("no token")?;
    Ok(String::from_utf8(token.0)?)
}

/// From the answer to a change until the management API shows it.
async fn change(server: &ApiServer, own: &str, api: &str, token: &str) -> Result<Duration> {
    let accounts = Api::<ProviderAccount>::namespaced(server.client(), own);
    let url = format!("http://{api}/api/accounts/{own}%2Faccount-00000");
    let mut times = Vec::new();
    for priority in 1..=CHANGES {
        let patch = Patch::Merge(json!({"spec": {"priority": priority}}));
        accounts.patch("account-00000", &PatchParams::default(), &patch).await?;
        let began = Instant::now();
        while web::call(Method::GET, &url, Some(token), None).await?["priority"] != priority {
            ensure!(began.elapsed() < LONGEST, "the change is not known");
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[CHANGES / 2])
}
