//! Starts the simulator and `penstock up` on free ports, in folders of their own, and ends them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Answer, Http, message};

/// How often a state is looked at while waiting for it.
const LOOK: Duration = Duration::from_millis(50);
/// No state takes this long to come; only a broken program does.
const PATIENCE: Duration = Duration::from_secs(90);

/// Two accounts, the first one preferred.
pub(crate) const ACCOUNTS: [(&str, u8); 2] = [("first", 0), ("second", 10)];

/// A running Penstock on a simulated provider.
pub(crate) struct Running {
    pub(crate) clients: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) simulator: SocketAddr,
    pub(crate) http: Http,
    folder: TempDir,
    up: Child,
    provider: Child,
    said: Arc<Mutex<String>>,
}

fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_penstock")).with_file_name(name);
    assert!(path.is_file(), "{} is missing: run cargo build --workspace --bins first", path.display());
    path
}

impl Running {
    /// Starts both and waits until clients can connect.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let (provider, simulator) = start_simulator();
        let config = folder.path().join("config");
        fs::create_dir(&config).unwrap();
        for (name, priority) in ACCOUNTS {
            fs::write(config.join(format!("{name}.yaml")), manifest(name, priority, simulator)).unwrap();
        }
        let (up, clients, api, said) = start_up(&config, &folder.path().join("data"));
        Self { clients, api, simulator, http: Http::new(), folder, up, provider, said }
    }

    /// A file of the config folder.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.folder.path().join("config").join(name)
    }

    /// Looks again and again until a file of the data folder says `text`.
    pub(crate) async fn wait_for_file(&self, name: &str, text: &str) {
        let path = self.folder.path().join("data").join(name);
        let mut looks = tokio::time::interval(LOOK);
        let waiting = async {
            while !fs::read_to_string(&path).unwrap_or_default().contains(text) {
                looks.tick().await;
            }
        };
        let Ok(()) = tokio::time::timeout(PATIENCE, waiting).await else {
            panic!("{name} never says {text}; printed:\n{}", self.printed());
        };
    }

    /// What `penstock up` has printed so far.
    pub(crate) fn printed(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Runs a command of the command line against it.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Output {
        Command::new(program("penstock"))
            .args(args)
            .env("PENSTOCK_API", format!("http://{}", self.api))
            .env("PENSTOCK_DATA", self.folder.path().join("data"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn token(&self) -> String {
        fs::read_to_string(self.folder.path().join("data/admin-token")).unwrap().trim().to_owned()
    }

    /// Calls the management API.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Answer, String> {
        self.http.send(method, self.api, path, Some(&self.token()), body).await
    }

    /// GETs from the management API; `Null` while it is away.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).await.map_or(Value::Null, |answer| answer.json())
    }

    /// Looks again and again until `is` says yes to what the API answers.
    pub(crate) async fn wait_for(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut looks = tokio::time::interval(LOOK);
        let waiting = async {
            loop {
                looks.tick().await;
                let seen = self.get(path).await;
                if is(&seen) {
                    return seen;
                }
            }
        };
        let Ok(seen) = tokio::time::timeout(PATIENCE, waiting).await else {
            panic!("never: {what}; last {}; printed:\n{}", self.get(path).await, self.printed());
        };
        seen
    }

    /// The account that answers a request now.
    pub(crate) async fn served_by(&self) -> String {
        let body = message("hi");
        let answer = self.http.send(Method::POST, self.clients, "/v1/messages", None, &body).await.unwrap();
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let id = answer.headers["x-penstock-request-id"].to_str().unwrap();
        let row = self.wait_for(&format!("/api/requests/{id}"), "the row", |row| row["id"].is_string()).await;
        row["account"].as_str().unwrap().to_owned()
    }

    /// The proxy hears of a state a moment after it is shown; from then on nothing else happens.
    pub(crate) async fn everything_is_served_by(&self, account: &str) {
        while self.served_by().await != account {}
        for _ in 0..5 {
            assert_eq!(self.served_by().await, account);
        }
    }

    /// The process below `penstock up` whose program has this name, if it runs.
    pub(crate) fn process(&self, name: &str) -> Option<u32> {
        descendants(self.up.id()).into_iter().find(|pid| {
            let of = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            // `comm` is cut to 15 characters; a zombie has no command line.
            of("comm").trim() == &name[..name.len().min(15)] && !of("cmdline").is_empty()
        })
    }

    /// Ends `penstock up` itself without a chance to clean up.
    pub(crate) fn kill(&self) {
        signal(self.up.id(), rustix::process::Signal::KILL);
    }

    /// Ends it with a signal, as Ctrl-C and an init do, and says how it ended.
    pub(crate) fn stop(mut self) -> (std::process::ExitStatus, String) {
        signal(self.up.id(), rustix::process::Signal::TERM);
        let status = self.up.wait().unwrap();
        (status, self.printed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        signal(self.up.id(), rustix::process::Signal::TERM);
        let _ = self.up.wait();
        let _ = self.provider.kill();
        let _ = self.provider.wait();
    }
}

/// Sends a signal; a process that is gone is fine.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let _ = rustix::process::kill_process(pid.unwrap(), signal);
}

/// An account on the simulator, with its Secret.
pub(crate) fn manifest(name: &str, priority: u8, simulator: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\nstringData:\n  apiKey: sk-{name}\n---\n\
         apiVersion: penstock.dev/v1alpha1\nkind: ProviderAccount\nmetadata:\n  name: {name}\nspec:\n  \
         provider: anthropic\n  baseUrl: http://{simulator}/anthropic\n  priority: {priority}\n  \
         credentials:\n    secretRef:\n      name: {name}\n"
    )
}

fn start_simulator() -> (Child, SocketAddr) {
    let mut provider = Command::new(program("penstock-simulator"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(provider.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    (provider, said["listen"].as_str().unwrap().parse().unwrap())
}

fn start_up(config: &Path, data: &Path) -> (Child, SocketAddr, SocketAddr, Arc<Mutex<String>>) {
    let any = "127.0.0.1:0";
    let mut up = Command::new(program("penstock"))
        .arg("up")
        .args([Path::new("--config"), config, Path::new("--data"), data])
        .args(["--proxy-listen", any, "--admin-listen", any, "--api-listen", any, "--grpc-listen", any])
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("OPENAI_API_KEY")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let errors = BufReader::new(up.stderr.take().unwrap());
    let kept = Arc::clone(&said);
    std::thread::spawn(move || keep(errors, &kept, |_| false));
    let mut output = BufReader::new(up.stdout.take().unwrap());
    keep(&mut output, &said, |line| line.contains("Point your clients at it"));
    let printed = said.lock().unwrap().clone();
    let kept = Arc::clone(&said);
    std::thread::spawn(move || keep(output, &kept, |_| false));
    let address = |name: &str| -> SocketAddr {
        let line = printed.lines().find(|line| line.trim_start().starts_with(name));
        let url =
            line.and_then(|line| line.split("http://").nth(1)).unwrap_or_else(|| panic!("{name}: {printed}"));
        url.split(['/', ' ']).next().unwrap().parse().unwrap()
    };
    (up, address("clients"), address("dashboard"), said)
}

fn keep(lines: impl BufRead, said: &Mutex<String>, enough: impl Fn(&str) -> bool) {
    for line in lines.lines().map_while(Result::ok) {
        let mut said = said.lock().unwrap();
        said.push_str(&line);
        said.push('\n');
        if enough(&line) {
            return;
        }
    }
}

fn descendants(root: u32) -> Vec<u32> {
    let children = |pid: u32| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
            .collect::<Vec<u32>>()
    };
    let mut all = Vec::new();
    let mut pending = children(root);
    while let Some(pid) = pending.pop() {
        pending.extend(children(pid));
        all.push(pid);
    }
    all
}
