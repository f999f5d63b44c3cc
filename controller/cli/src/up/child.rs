//! A program that is started, watched, restarted when it dies, and stopped.
//!
//! A program says that it is ready by one line of JSON on its standard output, with its addresses.
//! What it writes to standard error goes to ours, with its name in front.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// After the first death; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A program that dies at once is tried about every quarter of a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// One that ran this long starts from the first pause again.
const STEADY: Duration = Duration::from_secs(60);
/// Lines of standard error kept to explain a failed start.
const KEPT_LINES: usize = 12;

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    name: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(&'static str, String)>,
}

/// The addresses a program printed when it was ready.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    name: &'static str,
    said: Value,
}

/// A program under supervision. Dropping it kills the program.
pub(crate) struct Supervised {
    name: &'static str,
    state: watch::Receiver<State>,
    stop: CancellationToken,
    kill: CancellationToken,
    task: JoinSet<()>,
}

#[derive(Clone, Debug)]
enum State {
    Starting,
    Ready(Ready),
    /// The first start failed: trying again would fail in the same way.
    GaveUp(String),
    Stopped,
}

impl Spec {
    /// A program that is installed beside this one.
    pub(crate) fn sibling(name: &'static str, program: &str) -> anyhow::Result<Self> {
        let here = std::env::current_exe().context("finding the folder of this program")?;
        let path = here.with_file_name(program);
        if !path.is_file() {
            bail!("{} is missing: it belongs beside {}", path.display(), here.display());
        }
        Ok(Self { name, program: path, args: Vec::new(), env: Vec::new() })
    }

    /// Adds `flag value`.
    pub(crate) fn arg(mut self, flag: &str, value: impl Display) -> Self {
        self.args.push(flag.into());
        self.args.push(value.to_string().into());
        self
    }

    /// Adds a flag without a value.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.args.push(flag.into());
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    /// Keeps to the ports it was given, so that others still find it after a restart.
    fn keep_addresses(&mut self, ready: &Ready) {
        for at in 1..self.args.len() {
            let flag = self.args[at - 1].to_string_lossy();
            let key = flag.trim_start_matches("--").trim_end_matches("-listen").to_owned();
            if flag.ends_with("listen")
                && let Some(address) = ready.said.get(key).and_then(Value::as_str)
            {
                self.args[at] = address.into();
            }
        }
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        Command::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            // They end when this process ends, however it ends.
            .env("PENSTOCK_PARENT", std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the whole group of a terminal; the order of stopping is ours.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))
    }
}

impl Ready {
    /// One of the addresses it printed.
    pub(crate) fn address(&self, key: &str) -> anyhow::Result<SocketAddr> {
        let text = self.said.get(key).and_then(Value::as_str).unwrap_or_default();
        text.parse().with_context(|| format!("the {} did not say its {key:?} address", self.name))
    }
}

impl Supervised {
    /// Starts it. Nothing is awaited here.
    pub(crate) fn start(mut spec: Spec) -> Self {
        let (publish, state) = watch::channel(State::Starting);
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let name = spec.name;
        let mut task = JoinSet::new();
        let (stopping, killing) = (stop.clone(), kill.clone());
        task.spawn(async move {
            let last = match supervise(&mut spec, &publish, &stopping, &killing).await {
                Ok(()) => State::Stopped,
                Err(error) => State::GaveUp(format!("{error:#}")),
            };
            publish.send_replace(last);
        });
        Self { name, state, stop, kill, task }
    }

    /// Waits until it is ready for the first time.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<Ready> {
        let state = self.state.wait_for(|state| !matches!(state, State::Starting)).await;
        match state.as_deref() {
            Ok(State::Ready(ready)) => Ok(ready.clone()),
            Ok(State::GaveUp(why)) => Err(anyhow!("the {} could not start: {why}", self.name)),
            Ok(State::Starting | State::Stopped) | Err(_) => Err(anyhow!("the {} was stopped", self.name)),
        }
    }

    /// Resolves with the reason when it cannot be kept running; never otherwise.
    pub(crate) async fn gave_up(&mut self) -> anyhow::Error {
        match self.state.wait_for(|state| matches!(state, State::GaveUp(_))).await.as_deref() {
            Ok(State::GaveUp(why)) => anyhow!("the {} gave up: {why}", self.name),
            _ => std::future::pending().await,
        }
    }

    /// Asks it to stop, and kills it when it has not within the time.
    pub(crate) async fn stop(&mut self, within: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(within, self.task.join_next()).await.is_err() {
            if !within.is_zero() {
                eprintln!("The {} did not stop within {} s; ending it.", self.name, within.as_secs());
            }
            self.kill.cancel();
            self.task.join_next().await;
        }
    }
}

async fn supervise(
    spec: &mut Spec,
    publish: &watch::Sender<State>,
    stop: &CancellationToken,
    kill: &CancellationToken,
) -> anyhow::Result<()> {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let (status, last_lines) = run_once(spec, publish, stop, kill).await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        match &*publish.borrow() {
            State::Ready(ready) => spec.keep_addresses(ready),
            State::Starting | State::GaveUp(_) | State::Stopped => bail!("{}", explain(status, &last_lines)),
        }
        if started.elapsed() >= STEADY {
            pause = FIRST_PAUSE;
        }
        eprintln!("The {} ended ({status}); starting it again in {:.1} s.", spec.name, pause.as_secs_f32());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(()),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Runs it until it ends by itself or is stopped.
async fn run_once(
    spec: &Spec,
    publish: &watch::Sender<State>,
    stop: &CancellationToken,
    kill: &CancellationToken,
) -> anyhow::Result<(ExitStatus, VecDeque<String>)> {
    let mut child = spec.spawn()?;
    let stdout = child.stdout.take().context("its standard output")?;
    let stderr = child.stderr.take().context("its standard error")?;
    let mut last_lines = VecDeque::new();
    let status = {
        let talking = async {
            tokio::join!(announce(spec.name, stdout, publish), forward(spec.name, stderr, &mut last_lines));
        };
        let ending = wait_or_stop(&mut child, stop, kill);
        tokio::pin!(talking, ending);
        tokio::select! {
            // Its last words are read to the end before its end is judged.
            ((), status) = async { tokio::join!(&mut talking, &mut ending) } => status?,
        }
    };
    Ok((status, last_lines))
}

async fn wait_or_stop(
    child: &mut Child,
    stop: &CancellationToken,
    kill: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return Ok(status?),
        () = stop.cancelled() => terminate(child),
    }
    tokio::select! {
        status = child.wait() => Ok(status?),
        () = kill.cancelled() => {
            child.kill().await?;
            Ok(child.wait().await?)
        }
    }
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // An error means that it has ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

async fn announce(name: &'static str, stdout: impl AsyncRead + Unpin, publish: &watch::Sender<State>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Value>(&line) {
            Ok(said) if said.is_object() => {
                publish.send_replace(State::Ready(Ready { name, said }));
            }
            _ => println!("{line}"),
        }
    }
}

async fn forward(name: &'static str, stderr: impl AsyncRead + Unpin, kept: &mut VecDeque<String>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("[{name}] {line}");
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

fn explain(status: ExitStatus, last_lines: &VecDeque<String>) -> String {
    match last_lines.iter().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => line.clone(),
        None => status.to_string(),
    }
}
