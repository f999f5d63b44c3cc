//! Penstock with everything on: a controller with a database of its own, and a proxy that has ten accounts,
//! reads usage and limits from every answer, counts, and reports a history event for every request.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::sleep;

use crate::process::{Process, program};
use crate::requests::{ALIAS, Pace};

/// Accounts that share the fast simulator.
const ACCOUNTS: usize = 10;

/// History is stored this long after the last request, or not at all.
const STORED_WITHIN: Duration = Duration::from_secs(60);

/// Controller and proxy.
pub(crate) struct Penstock {
    controller: Process,
    proxy: Process,
    at: Controller,
    programs: PathBuf,
    data: PathBuf,
    pub(crate) listen: SocketAddr,
    admin: SocketAddr,
}

#[derive(Deserialize)]
struct Controller {
    api: SocketAddr,
    grpc: SocketAddr,
}

#[derive(Deserialize)]
struct Proxy {
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Penstock {
    /// Starts both, and waits until the proxy has its accounts.
    pub(crate) async fn start(
        programs: &Path,
        folder: &Path,
        simulators: &[(Pace, SocketAddr)],
    ) -> anyhow::Result<Self> {
        let (config, data) = (folder.join("config"), folder.join("data"));
        fs::create_dir(&config)?;
        fs::write(config.join("accounts.yaml"), manifests(simulators))?;
        let mut command = program(programs, "penstock-controller");
        command.arg("--config").arg(&config).arg("--data").arg(&data);
        command.args(["--api-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--log", "warn"]);
        let (controller, at) = Process::start_announced::<Controller>(&mut command).await?;
        let spool = data.join("spool");
        let (proxy, Proxy { listen, admin }) =
            Process::start_announced(&mut proxy(programs, &data, &at, &spool)).await?;
        ready(admin).await?;
        Ok(Self { controller, proxy, at, programs: programs.to_owned(), data, listen, admin })
    }

    /// The proxy's process.
    pub(crate) fn pid(&self) -> u32 {
        self.proxy.pid
    }

    /// From starting one more proxy to its saying that it is ready, with its accounts.
    pub(crate) async fn time_to_ready(&self) -> anyhow::Result<Duration> {
        let spool = self.data.join("spool-of-another");
        let mut command = proxy(&self.programs, &self.data, &self.at, &spool);
        let start = Instant::now();
        let (process, Proxy { admin, .. }) = Process::start_announced(&mut command).await?;
        ready(admin).await?;
        let taken = start.elapsed();
        process.stop().await?;
        Ok(taken)
    }

    /// Waits until the database holds this many requests; how many it holds in the end, and how many
    /// the proxy lost.
    pub(crate) async fn stored(&self, awaited: u64) -> anyhow::Result<(u64, u64)> {
        let token = fs::read_to_string(self.data.join("admin-token"))?;
        let authorization = format!("authorization: Bearer {}\r\n", token.trim());
        let begun = Instant::now();
        loop {
            let answer = get(self.at.api, "/api/stats", &authorization).await?;
            let stats: Value = serde_json::from_str(&answer).with_context(|| answer.clone())?;
            let stored = stats["totalRequests"].as_u64().with_context(|| format!("requests in {answer}"))?;
            if stored >= awaited || begun.elapsed() > STORED_WITHIN {
                return Ok((stored, self.lost().await?));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn lost(&self) -> anyhow::Result<u64> {
        let metrics = get(self.admin, "/metrics", "").await?;
        let line = metrics.lines().find(|line| line.starts_with("penstock_events_dropped"));
        let count = line.and_then(|line| line.split(' ').nth(1)).context("the metric of lost events")?;
        Ok(count.parse()?)
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.proxy.stop().await?;
        self.controller.stop().await
    }
}

fn proxy(programs: &Path, data: &Path, controller: &Controller, spool: &Path) -> Command {
    let mut command = program(programs, "penstock-proxy");
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--role", "standalone"]);
    command.args(["--log", "warn", "--controller", &format!("https://{}", controller.grpc)]);
    command.arg("--controller-ca").arg(data.join("ca.pem"));
    command.arg("--token-file").arg(data.join("proxy-token"));
    command.arg("--spool-dir").arg(spool);
    command
}

async fn ready(admin: SocketAddr) -> anyhow::Result<()> {
    for _ in 0..10_000 {
        if get(admin, "/readyz", "").await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(1)).await;
    }
    bail!("the proxy does not get ready")
}

/// The body of a 200.
async fn get(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("{path}: {answer}");
    }
    Ok(body.to_owned())
}

/// Ten accounts for what is asked at full pace, and one for each other pace: the model tells which.
fn manifests(simulators: &[(Pace, SocketAddr)]) -> String {
    let mut manifests = String::new();
    for (pace, simulator) in simulators {
        let (count, map) = match pace {
            Pace::Flat => (ACCOUNTS, format!(", map: {{ {ALIAS}: [{}] }}", pace.model())),
            Pace::Paced | Pace::Idle => (1, String::new()),
        };
        for number in 0..count {
            let (name, model) = (format!("{}-{number}", pace.name()), pace.model());
            manifests.push_str(&format!(
                "---
apiVersion: v1
kind: Secret
metadata: {{ name: {name} }}
stringData: {{ apiKey: sk-ant-api03-of-{name} }}
---
apiVersion: penstock.dev/v1alpha1
kind: ProviderAccount
metadata: {{ name: {name} }}
spec:
  provider: anthropic
  baseUrl: http://{simulator}
  credentials: {{ secretRef: {{ name: {name} }} }}
  models: {{ allow: [{model}]{map} }}
"
            ));
        }
    }
    manifests
}
