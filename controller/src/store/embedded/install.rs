//! Finds the installed programs, and the user they may run as: Postgres refuses to run as root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::EmbeddedError;

/// Where Debian and its kin keep each major version, which are not in the search path.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The uid and gid of `nobody` on Linux, for machines without a user named so.
const NOBODY: Owner = Owner { uid: 65534, gid: 65534 };

/// The installed programs.
#[derive(Debug, Clone)]
pub(super) struct Install {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

/// A user that the server runs as instead of root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Install {
    /// The programs of `PATH`, else the newest version that Debian's folders hold.
    pub(super) fn find() -> Result<Self, EmbeddedError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain(debian_folders());
        folders.find_map(|folder| Self::in_folder(&folder)).ok_or(EmbeddedError::NotInstalled)
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        // A link in the path leads to the folder where the other programs and libraries are.
        let real = |name| folder.join(name).canonicalize().ok().filter(|path| path.is_file());
        Some(Self { initdb: real("initdb")?, postgres: real("postgres")? })
    }

    /// The major version, as in a data folder's `PG_VERSION`.
    pub(super) fn major(&self) -> Result<String, EmbeddedError> {
        let output = Command::new(&self.postgres).arg("--version").stdin(Stdio::null()).output();
        let output =
            output.map_err(|source| EmbeddedError::Run { program: self.postgres.clone(), source })?;
        Ok(major_of(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// `15` of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_of(version: &str) -> String {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect()
}

/// The newest version first.
fn debian_folders() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(DEBIAN) else { return Vec::new() };
    let versions = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut versions: Vec<u32> = versions.collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin")).collect()
}

/// Who the server runs as: `None` = as us, who are not root.
pub(super) fn other_user() -> Option<Owner> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    Some(user("postgres").or_else(|| user("nobody")).unwrap_or(NOBODY))
}

/// Asks `id`, which knows every source of users that the machine has.
fn user(name: &str) -> Option<Owner> {
    let ask = |flag: &str| -> Option<u32> {
        let output = Command::new("id").args([flag, name]).stdin(Stdio::null()).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some(Owner { uid: ask("-u")?, gid: ask("-g")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        for (said, expected) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15"),
            ("postgres (PostgreSQL) 18beta1\n", "18"),
            ("no idea", ""),
        ] {
            assert_eq!(major_of(said), expected, "{said}");
        }
    }

    #[test]
    fn a_folder_without_both_programs_is_no_installation() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("initdb"), "").unwrap();
        assert!(Install::in_folder(folder.path()).is_none());
        std::fs::write(folder.path().join("postgres"), "").unwrap();
        assert!(Install::in_folder(folder.path()).is_some());
    }
}
