//! Programs that never outlive the test, however it ends.
//! Killed on drop; killed by the kernel when the test's process is gone without a drop. Never asked politely: an API
//! server whose etcd is gone would take minutes to end by itself, and its data is thrown away anyway.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::{io, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Lines of a log that are shown with an error.
const TAIL_LINES: usize = 25;
/// Ports that no kernel hands out by itself, so that one stays free while its server is down for a moment.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// A running program and the file that holds its output.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

struct Order {
    command: Command,
    answer: mpsc::Sender<io::Result<Child>>,
}

impl Process {
    /// Starts a program with its output appended to `log`. The command may say anything but its output.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        Self::start_as(&command.get_program().to_string_lossy(), command, log)
    }

    /// The same, with a better name for errors than the command's first word.
    pub fn start_as(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        let output = File::options().create(true).append(true).open(log).context("its log")?;
        let errors = output.try_clone().context("its log")?;
        let mut tied = tied_to_us(command);
        tied.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = spawn(tied).with_context(|| format!("{name} could not be started"))?;
        Ok(Self { name, log: log.to_owned(), child })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its log if it is not running any more.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().context("its state")? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, tail(&self.log)),
        }
    }

    /// Stops it where it is: its sockets stay open, nobody answers.
    pub fn freeze(&self) -> Result<()> {
        send_signal(self.id(), Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        send_signal(self.id(), Signal::CONT)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a log, for an error.
pub fn tail(log: &Path) -> String {
    last_lines(log, |_| true)
}

/// The last errors in a log of Kubernetes, whose lines begin with their severity.
pub fn errors_in(log: &Path) -> String {
    last_lines(log, |line| line.starts_with(['E', 'F']))
}

/// Sends a signal to a process.
pub fn send_signal(id: u32, signal: Signal) -> Result<()> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).context("a process id")?;
    kill_process(id, signal).with_context(|| format!("{signal:?} for process {id:?}"))
}

fn last_lines(log: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| wanted(line)).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A TCP port of 127.0.0.1 that is free now and that the kernel gives to nobody unasked.
pub fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let port =
            PORTS.start + u16::try_from(random() % u64::from(PORTS.end - PORTS.start)).context("a port")?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}

/// A number that no other process picks: 64 bits of the standard library's own randomness.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// The command under `setpriv`, which has the kernel kill it when its parent ends, and in a group of its own, so that
/// Ctrl-C reaches only the test.
fn tied_to_us(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        tied.current_dir(directory);
    }
    tied.process_group(0);
    tied
}

/// Spawns on a thread that lives as long as the process: to the kernel, a child's parent is the thread that made it,
/// and the thread of a test ends with the test.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for mut order in inbox {
                // Whoever asked may have panicked meanwhile; then the child is dropped, and ends with us.
                let _ = order.answer.send(order.command.spawn());
            }
        });
        orders
    });
    let (answer, answered) = mpsc::channel();
    let gone = |_| io::Error::other("the spawning thread is gone");
    SPAWNER.send(Order { command, answer }).map_err(|_| gone(mpsc::RecvError))?;
    answered.recv().map_err(gone)?
}
