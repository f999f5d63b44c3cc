//! Ports that the pod does not use, as far as its manifest tells. All containers of a pod share its ports, so
//! a wrong choice keeps the app from starting.

use super::names;
use super::read::Pod;

/// Where the sidecar listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    /// For the containers, on 127.0.0.1.
    pub(super) workload: u16,
    /// For probes and metrics, on every address.
    pub(super) admin: u16,
}

/// What a proxy listens on by itself, then ports that little else uses.
const WORKLOAD: [u16; 4] = [8080, 18080, 28080, 38080];
const ADMIN: [u16; 4] = [9901, 19901, 29901, 39901];
/// Containers without rights cannot listen below it everywhere.
const LOWEST: u16 = 1024;

impl Ports {
    pub(super) fn choose(pod: &Pod) -> Result<Self, Vec<String>> {
        let used: Vec<u16> = pod.spec.all().flat_map(super::read::Container::ports).collect();
        let workload = one(pod, names::PORT, &WORKLOAD, &used);
        let admin = one(pod, names::ADMIN_PORT, &ADMIN, &used);
        match (workload, admin) {
            (Ok(port), Ok(admin)) if port == admin => {
                Err(vec![format!("{} and {} are both {port}", names::PORT, names::ADMIN_PORT)])
            }
            (Ok(workload), Ok(admin)) => Ok(Self { workload, admin }),
            (workload, admin) => Err([workload.err(), admin.err()].into_iter().flatten().collect()),
        }
    }
}

fn one(pod: &Pod, annotation: &str, candidates: &[u16], used: &[u16]) -> Result<u16, String> {
    let Some(text) = pod.annotation(annotation) else {
        let free = candidates.iter().copied().find(|port| !used.contains(port));
        return free
            .ok_or_else(|| format!("the pod uses the ports {candidates:?}: choose one with {annotation}"));
    };
    match text.parse() {
        Ok(port) if used.contains(&port) => {
            Err(format!("{annotation}: {text:?} is a port that a container of the pod uses"))
        }
        Ok(port) if port >= LOWEST => Ok(port),
        _ => Err(format!("{annotation}: {text:?} is not a port from {LOWEST} to 65535")),
    }
}
