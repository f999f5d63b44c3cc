//! The data folder: made once, owned by the server's user, with settings for a server that shares a laptop
//! or a small pod with everything else.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::io::{FdFlags, fcntl_setfd};
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};

use super::EmbeddedError;
use super::install::{Install, Owner, other_user};

/// A socket's path has 107 bytes on Linux and 103 on macOS; `/.s.PGSQL.5432` needs 14 of them.
const MAX_SOCKET_DIR: usize = 88;

/// On every Unix, short, and open to every user, which the folder that `TMPDIR` names need not be.
const OPEN_TO_ALL: &str = "/tmp";

/// The database's owner. Not a person's name, so that the same folder works for whoever runs us.
const USER: &str = "penstock";

/// How much of the server's log an error quotes.
const LOG_TAIL: u64 = 2_000;
/// A log longer than this is begun anew at the next start.
const MAX_LOG: u64 = 10 * 1024 * 1024;

/// Given on the command line at every start, so that they are the same for a folder of any age.
///
/// `fsync` and `synchronous_commit` stay on: a stored row survives a power cut. Memory is kept small; the
/// operating system's cache does the rest. JIT costs more than it saves at the size of our questions.
/// WAL is compressed and large enough that checkpoints are minutes apart under load.
const SETTINGS: [&str; 17] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=40",
    "shared_buffers=64MB",
    "temp_buffers=16MB",
    "work_mem=16MB",
    "maintenance_work_mem=64MB",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "wal_compression=on",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=1GB",
    "checkpoint_timeout=10min",
    "jit=off",
    "log_checkpoints=off",
];

/// The data folder and what is needed to run a server on it.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    install: Install,
    path: PathBuf,
    log: PathBuf,
    lock: PathBuf,
    /// Where the socket is, for us.
    socket: PathBuf,
    /// The user the server runs as, when we are root.
    owner: Option<Owner>,
}

/// A program and the open folder that it is to inherit.
struct Program {
    command: Command,
    _folder: Option<File>,
}

impl Cluster {
    /// Finds the programs and the folders; changes nothing but making `data`.
    pub(super) fn open(data: &Path) -> Result<Self, EmbeddedError> {
        let install = Install::find()?;
        std::fs::create_dir_all(data).map_err(file("create", data))?;
        let data = data.canonicalize().map_err(file("find", data))?;
        let path = data.join("postgres");
        let owner = other_user();
        let fits = |folder: &Path| folder.as_os_str().len() <= MAX_SOCKET_DIR;
        let socket = if fits(&path) { path.clone() } else { short_folder(&path, owner.is_some(), fits) };
        let (log, lock) = (data.join("postgres.log"), data.join("postgres.lock"));
        Ok(Self { install, path, log, lock, socket, owner })
    }

    /// The data folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that the folder is ours until the file is dropped, or we die in whatever way.
    pub(super) fn lock(&self) -> Result<File, EmbeddedError> {
        let open = OpenOptions::new().create(true).append(true).open(&self.lock);
        let lock = open.map_err(file("open", &self.lock))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(file("lock", &self.lock)(source)),
        }
    }

    /// Removes the socket's folder where it is one of its own; the server has stopped.
    pub(super) fn remove_socket_folder(&self) {
        if self.socket != self.path {
            // What is left in it, if anything, is a socket that nobody listens on.
            let _ = std::fs::remove_dir_all(&self.socket);
        }
    }

    /// Makes the cluster if it is not there, and refuses one of another version.
    pub(super) async fn initialise(&self) -> Result<(), EmbeddedError> {
        self.own_folder(&self.path)?;
        if self.socket != self.path {
            self.own_folder(&self.socket)?;
        }
        let installed = self.install.major()?;
        let marker = self.path.join("PG_VERSION");
        match std::fs::read_to_string(&marker) {
            Ok(found) if found.trim() == installed => Ok(()),
            Ok(found) => {
                let found = found.trim().to_owned();
                Err(EmbeddedError::OtherVersion { path: self.path.clone(), found, installed })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.initdb().await,
            Err(source) => Err(file("read", &marker)(source)),
        }
    }

    async fn initdb(&self) -> Result<(), EmbeddedError> {
        // Trust: the socket's folder lets nobody in but its owner, and root.
        let mut initdb = self.program(&self.install.initdb)?;
        let options =
            ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions", "--username", USER];
        let output = initdb.command.args(options).stdin(Stdio::null()).output().await;
        let output =
            output.map_err(|source| EmbeddedError::Run { program: self.install.initdb.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(EmbeddedError::Initdb { output: String::from_utf8_lossy(&said).trim().to_owned() })
    }

    /// Starts the server; it does not answer yet.
    pub(super) fn spawn(&self) -> Result<Child, EmbeddedError> {
        let mut server = self.program(&self.install.postgres)?;
        let command = &mut server.command;
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // A path relative to the data folder: that is where the server is.
        let socket = if self.socket == self.path { Path::new(".") } else { &self.socket };
        command.arg("-c").arg(format!("unix_socket_directories={}", socket.display()));
        command.args(["-c", &self.mark()]);
        let log = self.open_log()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C in a terminal goes to the whole group: the server must not hear it before we are done.
        command.process_group(0);
        command
            .spawn()
            .map_err(|source| EmbeddedError::Run { program: self.install.postgres.clone(), source })
    }

    /// Names our server among the machine's processes.
    pub(super) fn mark(&self) -> String {
        format!("cluster_name=penstock-{}", short_name(&self.path))
    }

    pub(super) fn connection(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket).user(USER).dbname("postgres");
        config
    }

    /// The process id in the server's own lock file, if there is one.
    pub(super) fn recorded_pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.path.join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1)
    }

    /// The end of the server's log.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut log = File::open(&self.log)?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut tail = Vec::new();
            log.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).trim().to_owned())
        };
        read().unwrap_or_default()
    }

    fn open_log(&self) -> Result<File, EmbeddedError> {
        let too_long = std::fs::metadata(&self.log).is_ok_and(|log| log.len() > MAX_LOG);
        if too_long {
            std::fs::remove_file(&self.log).map_err(file("remove", &self.log))?;
        }
        OpenOptions::new().create(true).append(true).open(&self.log).map_err(file("open", &self.log))
    }

    /// A program about to run on the data folder as the server's user.
    fn program(&self, path: &Path) -> Result<Program, EmbeddedError> {
        let mut command = Command::new(path);
        command.current_dir("/").env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        let Some(Owner { uid, gid }) = self.owner else {
            command.arg("-D").arg(&self.path);
            return Ok(Program { command, _folder: None });
        };
        command.uid(uid).gid(gid);
        if !cfg!(target_os = "linux") {
            command.arg("-D").arg(&self.path);
            return Ok(Program { command, _folder: None });
        }
        // The other user may not be able to walk to the folder (`/root` is closed to others). So the folder
        // is opened by us, handed down open, and named as Linux names what a process has open.
        let folder = File::open(&self.path).map_err(file("open", &self.path))?;
        let kept_open = fcntl_setfd(&folder, FdFlags::empty());
        kept_open.map_err(|error| file("hand down", &self.path)(error.into()))?;
        command.arg("-D").arg(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        Ok(Program { command, _folder: Some(folder) })
    }

    /// Makes a folder that only the server's user may enter.
    fn own_folder(&self, path: &Path) -> Result<(), EmbeddedError> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.map_err(file("create", path))?,
        }
        // Not through a link: in a folder open to all, somebody else may have put one there.
        let metadata = std::fs::symlink_metadata(path).map_err(file("look at", path))?;
        let owner = self.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |owner| owner.uid);
        if !metadata.is_dir() || (metadata.uid() != owner && self.owner.is_none()) {
            let source = std::io::Error::other("it is there, but is not a folder of ours");
            return Err(file("use", path)(source));
        }
        if let Some(Owner { uid, gid }) = self.owner
            && metadata.uid() != uid
        {
            give(path, uid, gid)?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(file("close", path))
    }
}

/// Gives a folder and what is in it to a user: it may have been made by another one before.
fn give(path: &Path, uid: u32, gid: u32) -> Result<(), EmbeddedError> {
    lchown(path, Some(uid), Some(gid)).map_err(file("hand over", path))?;
    if !path.is_dir() || path.is_symlink() {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(file("read", path))? {
        give(&entry.map_err(file("read", path))?.path(), uid, gid)?;
    }
    Ok(())
}

fn file(step: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |source| EmbeddedError::File { step, path, source }
}

/// A folder for the socket of a cluster whose own path is too long for one: in the platform's folder for
/// temporary files, unless that is too long as well, or the server is another user's, who may not walk there.
fn short_folder(path: &Path, of_another: bool, fits: impl Fn(&Path) -> bool) -> PathBuf {
    let name = format!("penstock-{}", short_name(path));
    let folder = std::env::temp_dir().join(&name);
    if fits(&folder) && !of_another { folder } else { Path::new(OPEN_TO_ALL).join(name) }
}

/// A short name for a path, the same in every version of the program.
fn short_name(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    hex::encode(digest.first_chunk::<8>().copied().unwrap_or_default())
}
