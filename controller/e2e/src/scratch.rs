//! Directories that never outlive the test, however it ends.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{random, spawn};

/// Waits until its standard input ends, which is when we drop it or are gone, then removes the directory: again and
/// again for a while, as programs that were killed at the same moment may still be writing.
const REMOVE: &str = r#"cat; for _ in $(seq 100); do rm -rf "$1" 2>/dev/null && exit; sleep 0.1; done"#;

/// A directory of its own under the system's temporary one.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    remover: Child,
}

impl Scratch {
    /// Makes it, with `kind` in its name.
    pub fn new(kind: &str) -> Result<Self> {
        Self::with_last_act(kind, REMOVE)
    }

    /// Makes it; `last_act` is the shell script that removes it (`$1`) when its input ends, and whatever else must go.
    pub(crate) fn with_last_act(kind: &str, last_act: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("penstock-{kind}-{:08x}", random() >> 32));
        std::fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let mut command = Command::new("sh");
        command.args(["-c", last_act, "sh"]).arg(&path);
        // A group of its own: Ctrl-C must not keep it from its one task.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let remover = spawn(command).context("the shell that removes it later")?;
        Ok(Self { path, remover })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file into it and returns its path.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.join(name);
        std::fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        // Fails only if it was waited for already.
        let _ = self.remover.wait();
    }
}
