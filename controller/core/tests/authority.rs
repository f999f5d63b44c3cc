//! An authority over years: leaders that come late, replicas that renew from what they read last, proxies that
//! trust what reached them last.

use std::collections::BTreeSet;
use std::convert::Infallible;

use jiff::{SignedDuration, Timestamp};
use penstock_controller_core::authority::{AUTHORITY_LASTS, Authority, Certificate, DISTRIBUTION, Issuer};
use penstock_proto::secret::Secret;
use proptest::prelude::*;

const REPLICAS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// So many hours pass.
    Pass(i64),
    /// The leader looks after the authority.
    Lead,
    /// A replica reads the Secret.
    Read(usize),
    /// A replica issues itself a certificate, from what it read last.
    Renew(usize),
}

struct Server {
    read: Authority,
    signed_by: Certificate,
    ends: Timestamp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1i64..24 * 15).prop_map(Step::Pass),
        3 => Just(Step::Lead),
        2 => (0..REPLICAS).prop_map(Step::Read),
        2 => (0..REPLICAS).prop_map(Step::Renew),
    ]
}

fn issuer(now: Timestamp, number: usize) -> Issuer {
    let certificate = Certificate { pem: format!("{number}"), ends: now + AUTHORITY_LASTS };
    Issuer { certificate, key: Secret::new("key"), name: format!("{number}"), since: now }
}

fn trusted(authority: &Authority) -> BTreeSet<String> {
    authority.bundle().lines().map(str::to_owned).collect()
}

impl Server {
    fn of(read: &Authority, now: Timestamp) -> Self {
        let (signed_by, ends) = (read.signing.certificate.clone(), read.server_ends(now));
        Self { read: read.clone(), signed_by, ends }
    }
}

proptest! {
    #[test]
    fn every_certificate_in_use_is_trusted_by_every_bundle_that_a_proxy_may_hold(
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut made = 0;
        let mut authority = Authority::new(issuer(now, made));
        let mut servers: Vec<_> = (0..REPLICAS).map(|_| Server::of(&authority, now)).collect();
        // Which bundle was the last, from when on.
        let mut bundles = vec![(now, trusted(&authority))];
        let mut led = now;
        for step in steps {
            match step {
                Step::Pass(hours) => now += SignedDuration::from_hours(hours),
                Step::Lead => {
                    led = now;
                    authority = authority
                        .at(now, || { made += 1; Ok::<_, Infallible>(issuer(now, made)) })
                        .unwrap_or_else(|never| match never {});
                    if bundles.last().unwrap().1 != trusted(&authority) {
                        bundles.push((now, trusted(&authority)));
                    }
                }
                Step::Read(replica) => servers[replica].read = authority.clone(),
                Step::Renew(replica) => servers[replica] = Server::of(&servers[replica].read, now),
            }
            // Beyond that nothing is promised: no controller looked after its authority for months.
            prop_assume!(now.duration_since(led) < SignedDuration::from_hours(100 * 24));
            let since = now - DISTRIBUTION;
            let held = bundles.iter().enumerate().filter(|(at, _)| {
                bundles.get(at + 1).is_none_or(|(replaced, _)| *replaced > since)
            });
            for (_, (_, bundle)) in held {
                for server in servers.iter().filter(|server| now < server.ends) {
                    prop_assert!(bundle.contains(&server.signed_by.pem), "{now}: {bundle:?}");
                    prop_assert!(now < server.signed_by.ends);
                }
            }
            prop_assert!(trusted(&authority).len() <= 3);
        }
    }
}
