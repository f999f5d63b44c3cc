//! Tokens that are made once and kept: in the data folder, readable by its owner only, or in a cluster in a Secret.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use penstock_proto::secret::Secret;
use rand::RngCore;

use crate::own_secret::{OwnSecret, SecretError};

/// Bytes of chance in a token: nobody guesses it.
const TOKEN_BYTES: usize = 32;
/// The key in a Secret.
const TOKEN_KEY: &str = "token";
/// Shorter than this is no token, but a file that was cut off or written by hand.
const SHORTEST: usize = 16;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Something about its file.
    #[error("cannot {step} {path}")]
    File {
        /// What was being done, as `read`.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its file or Secret holds something else.
    #[error("{place} holds no token of at least {SHORTEST} printable characters; remove it to have one made")]
    Malformed {
        /// Where it is kept.
        place: String,
    },
    /// Its Secret cannot be read or made.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// The token in a file; made there if there is none.
pub fn token(path: &Path) -> Result<Secret, TokenError> {
    let at = |step| move |source| TokenError::File { step, path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(held) => checked(&held).ok_or_else(|| TokenError::Malformed { place: path.display().to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = random();
            write_private(path, format!("{}\n", token.expose()).as_bytes()).map_err(at("write"))?;
            Ok(token)
        }
        Err(source) => Err(at("read")(source)),
    }
}

/// The token in a Secret that all replicas share; made there if there is none.
pub async fn shared_token(secret: &OwnSecret) -> Result<Secret, TokenError> {
    let make = || Ok::<_, TokenError>([(TOKEN_KEY.to_owned(), random())].into());
    let stored = secret.open(make).await?;
    let held = stored.data.get(TOKEN_KEY).and_then(|held| checked(held.expose()));
    held.ok_or_else(|| TokenError::Malformed {
        place: format!("the key {TOKEN_KEY} of Secret {}", secret.name()),
    })
}

fn random() -> Secret {
    let mut random = [0; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut random);
    Secret::new(hex::encode(random))
}

fn checked(held: &str) -> Option<Secret> {
    let held = held.trim();
    (held.len() >= SHORTEST && held.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Secret::new(held))
}

/// Writes a file that only its owner may read; whoever looks finds the old content or the new one.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write(path, content, 0o600)
}

/// Writes a file that everybody may read; whoever looks finds the old content or the new one.
pub fn write_public(path: &Path, content: &[u8]) -> io::Result<()> {
    write(path, content, 0o644)
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    let mut file: File =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&next)?;
    // One left behind by a crash keeps its mode when it is opened.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let made = token(&path).unwrap();
        assert_eq!(made.expose().len(), 2 * TOKEN_BYTES);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(token(&path).unwrap(), made);
    }

    #[test]
    fn a_file_that_was_cut_off_is_not_a_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "abc").unwrap();
        assert!(matches!(token(&path), Err(TokenError::Malformed { .. })));
    }
}
