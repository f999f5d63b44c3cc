//! The controller's own certificate authority in a cluster, over its life: when its successor is made, when
//! that takes over, and what proxies are to trust meanwhile. Never signs, never draws a key: those come in.
//!
//! A successor is trusted long before it signs, and an authority that signs no more is trusted until it ends;
//! so whatever certificate a replica uses, every bundle that a proxy may still hold verifies it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::secret::Secret;
use serde::{Deserialize, Serialize};

/// How long an authority lasts.
pub const AUTHORITY_LASTS: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long a server certificate lasts, unless its authority ends before.
pub const SERVER_LASTS: SignedDuration = SignedDuration::from_hours(30 * 24);
/// When a successor is made, before the end: time for four months of controllers that do not run.
const PREPARE_BEFORE: SignedDuration = SignedDuration::from_hours(120 * 24);
/// How long a successor is trusted before it signs. A ConfigMap reaches a running pod within two minutes;
/// this leaves room for a namespace whose ConfigMap could not be written for days.
pub const DISTRIBUTION: SignedDuration = SignedDuration::from_hours(10 * 24);

/// Keys of the Secret.
const BUNDLE: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const TERMS: &str = "terms.json";

/// An authority, with those before and after it that are trusted, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The one that signs.
    pub signing: Issuer,
    /// The one that will.
    pub successor: Option<Issuer>,
    /// Those that did.
    pub retired: Vec<Certificate>,
}

/// A certificate that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// PEM.
    pub pem: String,
    /// When it ends.
    pub ends: Timestamp,
}

/// One that can sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What is trusted.
    pub certificate: Certificate,
    /// Its private key, PEM.
    pub key: Secret,
    /// Its name, which stands in everything that it signs; no two have the same.
    pub name: String,
    /// Since when it has been what it is: signing, or trusted.
    pub since: Timestamp,
}

/// What is not PEM, as it is kept in the Secret.
#[derive(Serialize, Deserialize)]
struct Terms {
    signing: Term,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<Term>,
    #[serde(default)]
    retired: Vec<Certificate>,
}

#[derive(Serialize, Deserialize)]
struct Term {
    name: String,
    since: Timestamp,
    ends: Timestamp,
}

/// A Secret that holds no authority.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAuthority {
    /// Something is not there.
    #[error("its key {key} is missing")]
    Missing {
        /// What.
        key: &'static str,
    },
    /// It cannot be read.
    #[error("its key {TERMS} cannot be read")]
    Terms(#[from] serde_json::Error),
}

impl Authority {
    /// The first one.
    pub fn new(first: Issuer) -> Self {
        Self { signing: first, successor: None, retired: Vec::new() }
    }

    /// What there is at `now`; `make` makes the next one when it is time. Nothing to do: the same.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn at<E>(&self, now: Timestamp, make: impl FnOnce() -> Result<Issuer, E>) -> Result<Self, E> {
        let mut next = self.clone();
        next.retired.retain(|certificate| now < certificate.ends);
        if next.successor.is_none() && next.signing.certificate.ends.duration_since(now) <= PREPARE_BEFORE {
            next.successor = Some(make()?);
        }
        if let Some(successor) = next.successor.take_if(|successor| {
            // Nobody trusts an authority that has ended: then the next one can only be better.
            successor.since + DISTRIBUTION <= now || self.signing.certificate.ends <= now
        }) {
            let before = std::mem::replace(&mut next.signing, Issuer { since: now, ..successor });
            next.retired.extend(Some(before.certificate).filter(|certificate| now < certificate.ends));
        }
        Ok(next)
    }

    /// What proxies are to trust, PEM: one after the other, the one that signs first.
    pub fn bundle(&self) -> String {
        let issuers = [Some(&self.signing), self.successor.as_ref()].into_iter().flatten();
        let certificates = issuers.map(|issuer| &issuer.certificate).chain(&self.retired);
        certificates.map(|certificate| format!("{}\n", certificate.pem.trim())).collect()
    }

    /// When a server certificate that is issued at `now` ends: never after its authority.
    pub fn server_ends(&self, now: Timestamp) -> Timestamp {
        self.signing.certificate.ends.min(now + SERVER_LASTS)
    }

    /// As the values of a Secret.
    ///
    /// # Errors
    /// None that can happen: what is written is text.
    pub fn to_secret(&self) -> Result<BTreeMap<String, Secret>, serde_json::Error> {
        let Self { signing, successor, retired } = self;
        let terms = Terms {
            signing: Term::of(signing),
            successor: successor.as_ref().map(Term::of),
            retired: retired.clone(),
        };
        let mut data = BTreeMap::from([
            (BUNDLE, Secret::new(self.bundle())),
            (CERTIFICATE, Secret::new(&signing.certificate.pem)),
            (KEY, signing.key.clone()),
            (TERMS, Secret::new(serde_json::to_string(&terms)?)),
        ]);
        if let Some(next) = successor {
            data.insert(NEXT_CERTIFICATE, Secret::new(&next.certificate.pem));
            data.insert(NEXT_KEY, next.key.clone());
        }
        Ok(data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// From the values of a Secret.
    ///
    /// # Errors
    /// If something of it is not there or cannot be read.
    pub fn from_secret(data: &BTreeMap<String, Secret>) -> Result<Self, InvalidAuthority> {
        let value = |key| data.get(key).ok_or(InvalidAuthority::Missing { key });
        let terms: Terms = serde_json::from_str(value(TERMS)?.expose())?;
        let issuer = |term: Term, certificate, key| {
            let Term { name, since, ends } = term;
            let certificate = Certificate { pem: value(certificate)?.expose().to_owned(), ends };
            Ok::<_, InvalidAuthority>(Issuer { certificate, key: value(key)?.clone(), name, since })
        };
        Ok(Self {
            signing: issuer(terms.signing, CERTIFICATE, KEY)?,
            successor: terms.successor.map(|term| issuer(term, NEXT_CERTIFICATE, NEXT_KEY)).transpose()?,
            retired: terms.retired,
        })
    }
}

impl Term {
    fn of(issuer: &Issuer) -> Self {
        let Issuer { certificate, key: _, name, since } = issuer;
        Self { name: name.clone(), since: *since, ends: certificate.ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    fn issuer(made: i64) -> Issuer {
        let name = format!("made on day {made}");
        let ends = day(made) + AUTHORITY_LASTS;
        let certificate = Certificate { pem: format!("certificate {name}"), ends };
        Issuer { certificate, key: Secret::new(format!("key {name}")), name, since: day(made) }
    }

    fn at(authority: &Authority, today: i64) -> Authority {
        authority.at(day(today), || Ok::<_, Infallible>(issuer(today))).unwrap_or_else(|never| match never {})
    }

    #[test]
    fn a_successor_is_trusted_before_it_signs_and_its_predecessor_until_it_ends() {
        let mut authority = Authority::new(issuer(0));
        let mut told = Vec::new();
        for today in 0..400 {
            let next = at(&authority, today);
            if next != authority {
                told.push((today, next.bundle().replace("certificate made on day ", "")));
            }
            authority = next;
        }
        assert_eq!(
            told,
            [(245, "0\n245\n".to_owned()), (255, "245\n0\n".to_owned()), (365, "245\n".to_owned()),]
        );
    }

    #[test]
    fn an_authority_that_ended_while_no_controller_ran_is_replaced_at_once() {
        let after = at(&Authority::new(issuer(0)), 500);
        assert_eq!(
            (after.signing.name.as_str(), &after.successor, after.retired.len()),
            ("made on day 500", &None, 0)
        );
        // Its successor was trusted already when the controllers stopped.
        let prepared = at(&Authority::new(issuer(0)), 250);
        assert_eq!(at(&prepared, 500).signing.name, "made on day 250");
    }

    #[test]
    fn a_server_certificate_never_outlasts_its_authority() {
        let authority = Authority::new(issuer(0));
        assert_eq!(authority.server_ends(day(100)), day(130));
        assert_eq!(authority.server_ends(day(350)), day(365));
    }

    #[test]
    fn a_secret_holds_all_of_it() {
        let mut authority = Authority::new(issuer(0));
        for today in [0, 245, 255, 480, 490] {
            authority = at(&authority, today);
            let secret = authority.to_secret().unwrap();
            assert_eq!(secret["ca.crt"].expose(), authority.bundle());
            assert_eq!(Authority::from_secret(&secret).unwrap(), authority, "day {today}");
            assert!(!secret["terms.json"].expose().contains("key made"));
        }
    }

    #[test]
    fn a_secret_of_somebody_else_is_no_authority() {
        let mut secret = Authority::new(issuer(0)).to_secret().unwrap();
        secret.remove("tls.key");
        let error = Authority::from_secret(&secret).unwrap_err();
        assert!(error.to_string().contains("tls.key"), "{error}");
        secret.insert("terms.json".to_owned(), Secret::new("{}"));
        assert!(matches!(Authority::from_secret(&secret), Err(InvalidAuthority::Terms(_))));
    }
}
