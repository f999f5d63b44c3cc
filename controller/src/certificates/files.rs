//! The authority of a controller that is alone: two files in its data folder, `ca.pem` for proxies to trust,
//! `ca.key` for its owner only. To replace it, remove both and start again.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::CertificateError;
use super::issue::{self, Signer};
use crate::tokens::{write_private, write_public};

/// Twenty years: clients that check it (rustls does not check a trusted root) have time to replace it.
const LASTS: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// Constant, so that an authority read again issues under the same name.
const NAME: &str = "Penstock controller authority";

/// The authority in `data`, made there if there is none, and its certificate (PEM).
pub(super) fn open(data: &Path, now: Timestamp) -> Result<(Signer, String), CertificateError> {
    let (certificate_path, key_path) = (data.join("ca.pem"), data.join("ca.key"));
    let read = |path: &PathBuf| match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertificateError::File { step: "read", path: path.clone(), source }),
    };
    let refused = |why: String| {
        let place = format!("{} and the ca.key beside it", certificate_path.display());
        CertificateError::Authority { place, why }
    };
    match (read(&certificate_path)?, read(&key_path)?) {
        (Some(certificate), Some(key)) => {
            issue::opened(NAME, &certificate, &key).map(|signer| (signer, certificate)).map_err(refused)
        }
        (None, None) => {
            let made = issue::authority(NAME, now, LASTS)?;
            let at = |path: &PathBuf| {
                let path = path.clone();
                move |source| CertificateError::File { step: "write", path, source }
            };
            // The key first: a certificate without its key would be trusted for nothing.
            write_private(&key_path, made.key.as_bytes()).map_err(at(&key_path))?;
            write_public(&certificate_path, made.certificate.as_bytes()).map_err(at(&certificate_path))?;
            info!(path = %certificate_path.display(), "made a certificate authority");
            Ok((made.signer, made.certificate))
        }
        (Some(_), None) => Err(refused("no ca.key".into())),
        (None, Some(_)) => Err(refused("no ca.pem".into())),
    }
}
