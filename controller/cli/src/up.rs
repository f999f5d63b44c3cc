//! `penstock up`: controller and proxy on this machine, without a cluster.
//!
//! | module | what it does |
//! |---|---|
//! | [`child`] | starts a program, waits until it is ready, restarts it when it dies |
//! | [`demo`] | accounts on the simulator, and some traffic |
//! | [`serving`] | whether the proxy has heard of its accounts |
//! | [`greeting`] | what a person needs to know after the start |
//!
//! The two are processes of their own that talk over the same gRPC as in a cluster. This one only
//! starts, watches and stops them; it holds no state that would be lost with it.

mod child;
mod demo;
mod greeting;
mod serving;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::Api;
use crate::settings::{Flags, Settings};
use child::{Ready, Spec, Supervised};

/// The proxy gives running streams 30 s; a little more for storing what is left.
const PROXY_STOP: Duration = Duration::from_secs(35);
/// The controller stores what it has received and stops Postgres.
const CONTROLLER_STOP: Duration = Duration::from_secs(20);
/// Signals within this time after the first are the same wish.
const SAME_WISH: Duration = Duration::from_secs(1);
/// What each program still has when a person asks a second time: the controller must stop its Postgres.
const HURRY: Duration = Duration::from_secs(3);
/// The simulator has nothing to keep.
const SIMULATOR_STOP: Duration = Duration::from_secs(2);

/// What a person at a terminal wants to see: what goes wrong, and accounts that come and go.
const DEFAULT_LOG: &str = "warn,penstock_controller::apply=info";

/// Run controller and proxy on this machine, without a cluster.
///
/// Objects are the same manifests as in a cluster, read from the --config folder and watched.
/// `ANTHROPIC_API_KEY` and `OPENAI_API_KEY` in the environment become accounts. Ctrl-C drains: running
/// streams end or are given 30 s, history is stored, Postgres is stopped cleanly.
#[derive(Args, Clone, Debug)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    flags: Flags,
    /// Add accounts on a simulated provider, with small limits and some traffic
    ///
    /// Nothing leaves this machine and no key is needed. Unless --config or --data are given, the demo
    /// keeps to folders of its own and does not touch your accounts.
    #[arg(long)]
    demo: bool,
    /// Which logs are shown: a level (warn, info, debug), or levels by module
    #[arg(long, value_name = "LEVELS", env = "PENSTOCK_LOG", default_value = DEFAULT_LOG)]
    log: String,
    /// With --demo: leave out the made-up traffic
    #[arg(long, requires = "demo")]
    no_traffic: bool,
}

/// The programs, in the order in which they start; they stop in the reverse order.
struct Programs {
    running: Vec<(Supervised, Duration)>,
}

pub(crate) async fn run(args: UpArgs) -> anyhow::Result<()> {
    let settings = settings(&args)?;
    prepare_folders(&settings)?;
    let _lock = lock(&settings.data)?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(wait_for_signal(stop.clone()));

    let mut programs = Programs { running: Vec::new() };
    let result = tokio::select! {
        started = start_and_greet(&args, &settings, &mut programs, &mut tasks) => match started {
            Ok(()) => programs.first_to_give_up(&stop).await,
            Err(error) => Err(error),
        },
        () = stop.cancelled() => Ok(()),
    };
    if result.is_ok() {
        eprintln!("\nStopping: running streams are given 30 s (Ctrl-C again: 3 s).");
    }
    stop.cancel();
    tokio::select! {
        () = programs.stop_all() => {}
        () = asked_again(signalled) => programs.hurry().await,
    }
    if args.demo {
        demo::remove_manifest(&settings.config);
    }
    tasks.abort_all();
    result
}

async fn start_and_greet(
    args: &UpArgs,
    settings: &Settings,
    programs: &mut Programs,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    demo::remove_manifest(&settings.config);
    if args.demo {
        let simulator = programs.start(demo::simulator_spec()?, SIMULATOR_STOP).await?;
        demo::write_manifest(&settings.config, simulator.address("listen")?)?;
    }
    let controller = programs.start(controller_spec(settings, &args.log)?, CONTROLLER_STOP).await?;
    let proxy =
        programs.start(proxy_spec(settings, controller.address("grpc")?, &args.log)?, PROXY_STOP).await?;

    let token =
        std::fs::read_to_string(settings.data.join("admin-token")).context("reading the admin token")?;
    let api = Api::local(controller.address("api")?, token.trim().to_owned());
    serving::wait(proxy.address("admin")?).await?;
    greeting::print(settings, &controller, &proxy, &api, args.demo).await?;
    if args.demo && !args.no_traffic {
        tasks.spawn(demo::traffic(proxy.address("listen")?));
    }
    Ok(())
}

impl Programs {
    async fn start(&mut self, spec: Spec, stop_within: Duration) -> anyhow::Result<Ready> {
        let mut program = Supervised::start(spec);
        let ready = program.ready().await;
        self.running.push((program, stop_within));
        ready
    }

    /// Runs until a signal, or until one of the programs cannot be kept running.
    async fn first_to_give_up(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let ends = self.running.iter_mut().map(|(program, _)| Box::pin(program.gave_up()));
        tokio::select! {
            (error, ..) = futures_util::future::select_all(ends) => Err(error),
            () = stop.cancelled() => Ok(()),
        }
    }

    async fn stop_all(&mut self) {
        while let Some((program, within)) = self.running.last_mut() {
            program.stop(*within).await;
            self.running.pop();
        }
    }

    async fn hurry(&mut self) {
        for (program, _) in self.running.iter_mut().rev() {
            program.stop(HURRY).await;
        }
    }
}

fn settings(args: &UpArgs) -> anyhow::Result<Settings> {
    let mut flags = args.flags.clone();
    if args.demo && flags.config.is_none() && flags.data.is_none() {
        let data = crate::settings::default_data()?.join("demo");
        flags.config = Some(data.join("penstock.d"));
        flags.data = Some(data);
    }
    flags.settings()
}

fn prepare_folders(settings: &Settings) -> anyhow::Result<()> {
    for folder in [&settings.config, &settings.data, &settings.data.join("spool")] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("creating the folder {}", folder.display()))?;
    }
    Ok(())
}

/// Keeps a second `penstock up` away from the same data: held until this process ends, however it ends.
fn lock(data: &Path) -> anyhow::Result<std::fs::File> {
    let path = data.join("lock");
    let file = std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("another penstock up is running on {}; stop it, or give --data", data.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

fn controller_spec(settings: &Settings, log: &str) -> anyhow::Result<Spec> {
    let mut spec = Spec::sibling("controller", "penstock-controller")?
        .arg("--config", settings.config.display())
        .arg("--data", settings.data.display())
        .arg("--api-listen", settings.api_listen)
        .arg("--grpc-listen", settings.grpc_listen)
        .arg("--log", log);
    if let Some(url) = &settings.database_url {
        // Not on the command line: it may hold a password, and `ps` shows arguments to everyone.
        spec = spec.env("PENSTOCK_DATABASE_URL", url);
    }
    Ok(spec)
}

fn proxy_spec(settings: &Settings, controller: std::net::SocketAddr, log: &str) -> anyhow::Result<Spec> {
    let data = |name: &str| -> PathBuf { Path::join(&settings.data, name) };
    Ok(Spec::sibling("proxy", "penstock-proxy")?
        .arg("--listen", settings.proxy_listen)
        .arg("--admin-listen", settings.admin_listen)
        .arg("--controller", format!("https://{controller}"))
        .arg("--controller-ca", data("ca.pem").display())
        .arg("--token-file", data("proxy-token").display())
        .arg("--spool-dir", data("spool").display())
        .arg("--role", "standalone")
        .arg("--log", log))
}

/// Ctrl-C and SIGTERM stop in the same way.
async fn wait_for_signal(stop: CancellationToken) {
    signalled().await;
    stop.cancel();
}

/// A second signal. Some senders (`timeout`) signal a process and its group: that is one wish, not two.
async fn asked_again(signalled: impl AsyncFnOnce()) {
    tokio::time::sleep(SAME_WISH).await;
    signalled().await;
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// When a second wish is heard, of signals that come at these times after the first.
    async fn heard_at(signals: &[u64]) -> Duration {
        let (begun, signal) = (Instant::now(), Notify::new());
        let sending = async {
            for at in signals {
                sleep(Duration::from_millis(*at).saturating_sub(begun.elapsed())).await;
                signal.notify_waiters();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = asked_again(async || signal.notified().await) => begun.elapsed(),
            () = sending => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_that_comes_twice_at_once_is_one_wish_and_a_later_one_is_another() {
        assert_eq!(heard_at(&[0, 1, 900, 2_500]).await, Duration::from_millis(2_500));
        assert_eq!(heard_at(&[1_100]).await, Duration::from_millis(1_100));
    }
}
