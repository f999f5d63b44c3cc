//! The files of the folder: listing, reading, and writing so that a reader sees the old content or the new one,
//! never half of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Penstock's own settings are in the same folder.
const SETTINGS: [&str; 2] = ["penstock.yaml", "penstock.yml"];

/// Manifests are small; what is larger than this is something else.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// A file's content, or why it could not be read.
pub(super) type Content = Result<String, String>;

/// The manifests in a folder by file name, with their content.
///
/// # Errors
/// If the folder itself cannot be read.
pub(super) fn list(folder: &Path) -> io::Result<BTreeMap<String, Content>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !yaml || name.starts_with('.') || SETTINGS.contains(&name) {
            continue;
        }
        match read(&path) {
            Ok(content) => drop(files.insert(name.to_owned(), Ok(content))),
            // Removed since the folder was listed, or a folder named like a file.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {}
            Err(error) => drop(files.insert(name.to_owned(), Err(format!("cannot be read: {error}")))),
        }
    }
    Ok(files)
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MOST_BYTES {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    fs::read_to_string(path)
}

/// Replaces a file's content, or creates it. Files with secrets are for their owner's eyes only; others keep
/// their mode.
///
/// # Errors
/// If it cannot be written; the old content stays.
pub(super) fn write(path: &Path, content: &str, secret: bool) -> io::Result<()> {
    let mode = match fs::metadata(path) {
        Ok(held) if !secret => held.permissions().mode() & 0o777,
        _ if secret => 0o600,
        _ => 0o644,
    };
    let temporary = temporary(path);
    let written = write_new(&temporary, content, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // One that was left behind may have another mode.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Beside the file, so that renaming it is atomic, and hidden, so that it is not read as a manifest.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_only_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        write(&path, "a: 1\n", false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        write(&path, "a: 2\n", true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        write(&path, "a: 3\n", false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn settings_hidden_files_and_other_things_are_not_manifests() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["penstock.yaml", ".hidden.yaml", "notes.txt", "a.yml", "b.yaml"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("c.yaml")).unwrap();
        let files = list(folder.path()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["a.yml", "b.yaml"]);
    }
}
