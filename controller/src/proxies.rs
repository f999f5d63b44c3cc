//! The proxies that are connected: who they are, what they hold, how far behind they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use penstock_controller_core::snapshot::View;
use penstock_proto::ids::AccountId;
use penstock_proto::peer::ProxyIdentity;
use penstock_proto::resource::{Refusal, Resource};
use tokio::sync::watch;

/// Who is connected. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry(Arc<Shared>);

#[derive(Default)]
struct Shared {
    proxies: Mutex<Proxies>,
    /// How many proxies of other controllers hold each account.
    elsewhere: Mutex<BTreeMap<AccountId, u32>>,
    /// Goes up whenever a proxy comes, goes, or confirms another view.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Proxies {
    next: u64,
    connected: BTreeMap<u64, Entry>,
}

struct Entry {
    shown: ConnectedProxy,
    /// The view it last confirmed.
    holds: Option<Arc<View>>,
}

/// A connected proxy, as `/api/proxies` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectedProxy {
    /// Who it says it is.
    pub identity: ProxyIdentity,
    /// Since when.
    pub connected_at: Timestamp,
    /// Version of the view it was last sent; empty = none yet.
    pub sent_version: String,
    /// Version of the view it last confirmed, whole or with refusals; empty = none yet.
    pub held_version: String,
    /// From the last push to its answer; `None` = none was answered yet.
    pub lag: Option<SignedDuration>,
    /// Since when it has owed an answer; `None` = it owes none.
    pub waiting_since: Option<Timestamp>,
    /// What it refused, and still does not hold as it should.
    pub refusals: Vec<Refusal>,
}

/// One proxy's place in the registry, given up when this is dropped.
pub struct Place {
    number: u64,
    registry: Registry,
}

impl Registry {
    /// Everyone who is connected, the longest first.
    pub fn list(&self) -> Vec<ConnectedProxy> {
        self.0.proxies.lock().connected.values().map(|entry| entry.shown.clone()).collect()
    }

    /// How many are connected.
    pub fn count(&self) -> usize {
        self.0.proxies.lock().connected.len()
    }

    /// How many proxies hold each account, here and elsewhere.
    pub fn in_use_by(&self) -> BTreeMap<AccountId, u32> {
        let mut counts = self.in_use_here();
        for (account, count) in &*self.0.elsewhere.lock() {
            *counts.entry(account.clone()).or_default() += count;
        }
        counts
    }

    /// How many proxies of other controllers hold each account.
    pub fn set_elsewhere(&self, counts: BTreeMap<AccountId, u32>) {
        let mut held = self.0.elsewhere.lock();
        let changed = *held != counts;
        *held = counts;
        drop(held);
        if changed {
            self.changed();
        }
    }

    /// How many of the proxies that are connected here hold each account.
    pub fn in_use_here(&self) -> BTreeMap<AccountId, u32> {
        // Nearly all hold the same few views.
        let mut views: Vec<(Arc<View>, u32)> = Vec::new();
        for view in self.0.proxies.lock().connected.values().filter_map(|entry| entry.holds.as_ref()) {
            match views.iter_mut().find(|(other, _)| Arc::ptr_eq(other, view)) {
                Some((_, count)) => *count += 1,
                None => views.push((Arc::clone(view), 1)),
            }
        }
        let mut counts = BTreeMap::new();
        for (view, count) in views {
            for versioned in view.resources.values() {
                if let Resource::Account(account) = &versioned.resource {
                    *counts.entry(account.id.clone()).or_default() += count;
                }
            }
        }
        counts
    }

    /// Tells when a proxy came, went or confirmed another view.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// A place for a proxy that has just connected.
    pub(super) fn connect(&self, identity: ProxyIdentity, now: Timestamp) -> Place {
        let shown = ConnectedProxy {
            identity,
            connected_at: now,
            sent_version: String::new(),
            held_version: String::new(),
            lag: None,
            waiting_since: None,
            refusals: Vec::new(),
        };
        let mut proxies = self.0.proxies.lock();
        proxies.next += 1;
        let number = proxies.next;
        proxies.connected.insert(number, Entry { shown, holds: None });
        drop(proxies);
        self.changed();
        Place { number, registry: self.clone() }
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }
}

impl Place {
    /// A view was sent.
    pub(super) fn sent(&self, view: &View, now: Timestamp) {
        self.update(|entry| {
            entry.shown.sent_version.clone_from(&view.version);
            entry.shown.waiting_since.get_or_insert(now);
        });
    }

    /// A view is in force there, but for what was refused of it.
    pub(super) fn holds(&self, view: Arc<View>, refusals: Vec<Refusal>, lag: SignedDuration) {
        let fresh = self.update(|entry| {
            let fresh = entry.shown.held_version != view.version;
            entry.shown.held_version.clone_from(&view.version);
            entry.shown.lag = Some(lag);
            let before = std::mem::take(&mut entry.shown.refusals);
            entry.shown.refusals = view.still_refused(before.into_iter().chain(refusals));
            if entry.shown.sent_version == view.version {
                entry.shown.waiting_since = None;
            }
            entry.holds = Some(view);
            fresh
        });
        if fresh == Some(true) {
            self.registry.changed();
        }
    }

    fn update<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.registry.0.proxies.lock().connected.get_mut(&self.number).map(change)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.0.proxies.lock().connected.remove(&self.number);
        self.registry.changed();
    }
}
