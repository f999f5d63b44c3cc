//! The election among replicas, on a Lease of Kubernetes: reads and writes it as
//! `penstock_controller_core::leader` says, and lets go of it when the controller stops. Never decides who leads.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use penstock_controller_core::leader::{Candidate, Record, Step, Timing};
use rand::Rng;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::{Candidacy, Election};
use crate::metrics::ClusterMetrics;

/// A request that takes longer is given up on; much shorter than what a leader is promised.
const PATIENCE: Duration = Duration::from_secs(4);

/// When the controller stops, work under way as the leader may take this long to end before the Lease is let go
/// of; every write of it is fenced besides.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Which Lease, and who asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the Lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// This replica's pod, by which people recognise the leader.
    pub pod: String,
}

/// The task. Run it with [`Elector::run`].
pub struct Elector {
    leases: Api<Lease>,
    name: String,
    me: String,
    candidate: Candidate,
    /// The Lease as last seen or written.
    held: Option<Lease>,
    began: Instant,
    until: watch::Sender<Option<Instant>>,
    proofs: TaskTracker,
    metrics: ClusterMetrics,
}

/// The election, and the task that takes part in it.
pub fn election(client: Client, settings: Settings, metrics: ClusterMetrics) -> (Election, Elector) {
    let Settings { namespace, name, pod } = settings;
    let (until, held) = watch::channel(None);
    let proofs = TaskTracker::new();
    // A process that was killed and started again in the same pod is somebody else: the earlier one's writes
    // may still be under way.
    let me = format!("{pod}_{:08x}", rand::rng().random::<u32>());
    let elector = Elector {
        leases: Api::namespaced(client, &namespace),
        name,
        candidate: Candidate::new(&me, Timing::DEFAULT),
        me,
        held: None,
        began: Instant::now(),
        until,
        proofs: proofs.clone(),
        metrics,
    };
    (Election::Lease(Candidacy { until: held, proofs }), elector)
}

impl Elector {
    /// Takes part until `stop`, and then lets go.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let next = match self.candidate.step(self.now()) {
                Step::Look => {
                    self.look().await;
                    continue;
                }
                Step::Write { over } => {
                    self.write(over).await;
                    continue;
                }
                Step::Wait(until) => until,
            };
            let lapse = self.publish();
            let wake = self.began + lapse.map_or(next, |lapse| lapse.min(next));
            stop.run_until_cancelled(tokio::time::sleep_until(wake)).await;
        }
        self.let_go().await;
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn look(&mut self) {
        let found = tokio::time::timeout(PATIENCE, self.leases.get_opt(&self.name)).await;
        let now = self.now();
        match found {
            Ok(Ok(lease)) => {
                self.candidate.saw(lease.as_ref().map(record), now);
                self.held = lease;
            }
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(_) => self.failed("no answer"),
        }
    }

    async fn write(&mut self, over: Option<String>) {
        let asked = self.now();
        let lease = self.lease(Some(&self.me), over.clone());
        match self.put(&lease, over.is_some()).await {
            Ok(lease) => {
                self.candidate.wrote(record(&lease), asked, self.now());
                self.held = Some(lease);
                self.publish();
            }
            Err(reason) => self.failed(&reason),
        }
    }

    /// The Lease with this holder.
    fn lease(&self, holder: Option<&str>, over: Option<String>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = self.held.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let same = before.holder_identity.as_deref() == holder || holder.is_none();
        let changes = before.lease_transitions.unwrap_or(0) + i32::from(!same);
        let promised = Timing::DEFAULT.promised.as_secs();
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: over,
                labels: self.held.as_ref().and_then(|lease| lease.metadata.labels.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.unwrap_or_default().to_owned()),
                lease_duration_seconds: i32::try_from(promised).ok(),
                acquire_time: if same { before.acquire_time } else { Some(now.clone()) },
                renew_time: Some(now),
                lease_transitions: Some(changes),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn put(&self, lease: &Lease, exists: bool) -> Result<Lease, String> {
        let params = PostParams::default();
        let write = async {
            if exists {
                self.leases.replace(&self.name, &params, lease).await
            } else {
                self.leases.create(&params, lease).await
            }
        };
        match tokio::time::timeout(PATIENCE, write).await {
            Ok(Ok(lease)) => Ok(lease),
            // Whoever was quicker leads.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err("somebody was quicker".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    fn failed(&mut self, reason: &str) {
        debug!(lease = self.name, reason, "the Lease could not be read or written");
        self.candidate.failed(self.now());
    }

    /// Tells whether and until when this replica leads; when that ends by itself.
    fn publish(&self) -> Option<Duration> {
        let lapse = self.candidate.leads_until(self.now());
        let until = lapse.map(|lapse| self.began + lapse);
        let before = self.until.send_replace(until);
        match (before.is_some(), until.is_some()) {
            (false, true) => {
                self.metrics.leads(true);
                info!(lease = self.name, me = self.me, "this replica leads");
            }
            (true, false) => {
                self.metrics.leads(false);
                warn!(
                    lease = self.name,
                    me = self.me,
                    "this replica leads no more: the Lease was not renewed in time"
                );
            }
            _ => {}
        }
        lapse
    }

    /// Leads no more, waits for what is under way, and tells the others.
    async fn let_go(&mut self) {
        let led = self.until.send_replace(None).is_some();
        let mut version = self.candidate.resign();
        if !led && version.is_none() {
            return;
        }
        if led {
            self.metrics.leads(false);
        }
        self.proofs.close();
        let _ = tokio::time::timeout(LAST_WORK, self.proofs.wait()).await;
        if version.is_none() {
            // The last renewal failed, or its answer did not come.
            self.look().await;
            version = self.candidate.resign();
        }
        let Some(version) = version else { return };
        let lease = self.lease(None, Some(version));
        match self.put(&lease, true).await {
            Ok(_) => info!(lease = self.name, "let go of the Lease"),
            Err(reason) => {
                warn!(lease = self.name, reason, "could not let go of the Lease; it runs out by itself");
            }
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty());
    let seconds = spec.and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok());
    Record {
        version: lease.resource_version().unwrap_or_default(),
        holder,
        promised: seconds.map_or(Timing::DEFAULT.promised, Duration::from_secs),
    }
}
