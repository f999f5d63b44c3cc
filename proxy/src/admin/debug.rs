//! `/debug/state`: what this proxy knows, for people. Never a secret: only what is named here is written.

use std::sync::Arc;

use penstock_proto::resource::Refusal;
use serde::Serialize;

use crate::control::ControlStatus;
use crate::state::{AccountReport, State};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    proxy: &'a penstock_proto::peer::ProxyIdentity,
    ready: bool,
    draining: bool,
    controller: Controller<'a>,
    snapshot: SnapshotReport<'a>,
    accounts: &'a [AccountReport],
    pools: Vec<PoolReport<'a>>,
    history: History,
    open_requests: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Controller<'a> {
    url: &'a str,
    connected: bool,
    synced: bool,
    failures: u64,
    last_error: Option<&'a str>,
    refusals: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotReport<'a> {
    version: &'a str,
    as_of: Option<jiff::Timestamp>,
    grants: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolReport<'a> {
    id: &'a str,
    strategy: &'static str,
    accounts: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct History {
    ring_events: usize,
    spool_bytes: u64,
    dropped: u64,
}

/// The report as JSON.
pub(super) fn render(state: &Arc<State>, control: &ControlStatus) -> serde_json::Result<String> {
    let published = state.published();
    let snapshot = &published.view.snapshot;
    let accounts = state.accounts(&published);
    let depth = state.sink.depth();
    let mut pools: Vec<_> = published
        .view
        .pools()
        .map(|view| PoolReport {
            id: view.pool.id.as_str(),
            strategy: view.pool.strategy.as_label(),
            accounts: view.candidates.iter().map(|candidate| candidate.account.id.as_str()).collect(),
        })
        .collect();
    pools.sort_unstable_by_key(|pool| pool.id);
    let report = Report {
        proxy: &state.config.identity,
        ready: state.is_ready(),
        draining: state.shutdown.drain.is_cancelled(),
        controller: Controller::new(&state.config.controller.url, control),
        snapshot: SnapshotReport {
            version: &snapshot.version,
            as_of: snapshot.as_of,
            grants: snapshot.grants.len(),
        },
        accounts: &accounts,
        pools,
        history: History { ring_events: depth.ring, spool_bytes: depth.spool_bytes, dropped: depth.dropped },
        open_requests: state.metrics.open_requests(),
    };
    serde_json::to_string_pretty(&report)
}

impl<'a> Controller<'a> {
    fn new(url: &'a str, control: &'a ControlStatus) -> Self {
        let refusal = |refusal: &Refusal| {
            format!("{} {}: {}", refusal.key.kind.as_label(), refusal.key.name, refusal.reason)
        };
        Self {
            url,
            connected: control.connected,
            synced: control.synced,
            failures: control.failures,
            last_error: control.last_error.as_deref(),
            refusals: control.refusals.iter().map(refusal).collect(),
        }
    }
}
