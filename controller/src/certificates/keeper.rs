//! The authority of a cluster, in a Secret that all replicas share. Whichever replica comes first makes it; the
//! leader replaces it in time; every replica follows. Never decides when: that is
//! `penstock_controller_core::authority`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use penstock_controller_core::authority::{AUTHORITY_LASTS, Authority, Certificate, Issuer};
use penstock_proto::secret::Secret;
use rand::Rng;
use tracing::{error, info, warn};

use super::{CertificateError, Certificates, issue};
use crate::leader::{Election, Leadership};
use crate::own_secret::{Data, OwnSecret, Stored};
use crate::reconcile::Clock;

/// Between two looks at the Secret. What changes there is to be in use within days.
const LOOK: Duration = Duration::from_mins(1);

/// The Secret with the authority.
#[derive(Clone)]
pub struct Keeper {
    secret: Arc<OwnSecret>,
    clock: Clock,
}

impl Keeper {
    /// Of the installation `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: &str, clock: Clock) -> Self {
        Self { secret: Arc::new(OwnSecret::new(client, namespace, &format!("{name}-ca"))), clock }
    }

    /// The authority; made if there is none.
    pub async fn open(&self) -> Result<Authority, CertificateError> {
        let stored = self.secret.open(|| written(&Authority::new(fresh((self.clock)())?))).await?;
        self.read(&stored)
    }

    /// Follows the Secret, and as leader replaces the authority in time, for ever.
    pub async fn run(self, certificates: Certificates, election: Election) {
        let mut failing = false;
        loop {
            tokio::time::sleep(LOOK).await;
            let done = self.look(&certificates, &election).await;
            let failed_before = std::mem::replace(&mut failing, done.is_err());
            match done {
                Err(error) if !failed_before => {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, "the authority cannot be looked after now; what there is stays in use");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Once: what the Secret says now is in use when this returns.
    pub async fn look(
        &self,
        certificates: &Certificates,
        election: &Election,
    ) -> Result<(), CertificateError> {
        let stored = self.secret.open(|| {
            error!(
                "the Secret of the authority is gone: making another one, which proxies trust in a minute"
            );
            written(&Authority::new(fresh((self.clock)())?))
        });
        let stored = stored.await?;
        let held = self.read(&stored)?;
        let now = (self.clock)();
        let next = held.at(now, || fresh(now))?;
        if next == held {
            return certificates.adopt(held, now);
        }
        match election.leadership() {
            Some(leadership) => {
                self.replace(&leadership, stored, &next).await?;
                info!(signing = next.signing.name, ends = %next.signing.certificate.ends, "the authority moved on");
                certificates.adopt(next, now)
            }
            None => certificates.adopt(held, now),
        }
    }

    async fn replace(
        &self,
        _leader: &Leadership,
        stored: Stored,
        next: &Authority,
    ) -> Result<(), CertificateError> {
        Ok(self.secret.replace(stored, written(next)?).await?)
    }

    fn read(&self, stored: &Stored) -> Result<Authority, CertificateError> {
        Authority::from_secret(&stored.data).map_err(|error| {
            let place = format!("the values of Secret {}", self.secret.name());
            CertificateError::Authority { place, why: error.to_string() }
        })
    }
}

fn written(authority: &Authority) -> Result<Data, CertificateError> {
    authority.to_secret().map_err(|error| CertificateError::Authority {
        place: "a new authority's values".into(),
        why: error.to_string(),
    })
}

/// Another authority, under a name that no other has.
pub fn fresh(now: Timestamp) -> Result<Issuer, CertificateError> {
    let name = format!("Penstock authority {} {:08x}", now.strftime("%Y-%m-%d"), rand::rng().random::<u32>());
    let made = issue::authority(&name, now, AUTHORITY_LASTS)?;
    let certificate = Certificate { pem: made.certificate, ends: made.ends };
    Ok(Issuer { certificate, key: Secret::new(made.key), name, since: now })
}
