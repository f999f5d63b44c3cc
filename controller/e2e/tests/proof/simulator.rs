//! The provider in the cluster: what it received, and what is to go wrong. docs are in proxy/simulator/README.md.

use std::collections::BTreeMap;

use anyhow::Result;
use http::Method;
use penstock_e2e::web;
use serde::Deserialize;
use serde_json::{Value, json};

/// Its control interface.
#[derive(Debug)]
pub(crate) struct Simulator {
    control: String,
}

/// A request as it arrived.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Arrived {
    /// Counts all requests.
    pub(crate) n: u64,
    /// What was answered, if anything was.
    pub(crate) status: Option<u16>,
    headers: Vec<(String, String)>,
}

impl Arrived {
    /// The pod whose workload asked.
    pub(crate) fn worker(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == "x-workload").map(|(_, value)| value.as_str())
    }
}

impl Simulator {
    /// At this address of a pod.
    pub(crate) fn at(address: &str) -> Self {
        Self { control: format!("http://{address}:8080/_control") }
    }

    /// What arrived with this credential after request number `after`, in order.
    pub(crate) async fn arrived(&self, account: &str, after: u64) -> Result<Vec<Arrived>> {
        let found = web::get(&format!("{}/requests?account={account}&after={after}", self.control)).await?;
        Ok(serde_json::from_value(found["requests"].clone())?)
    }

    /// How many answers each worker got that used one of these credentials, and the number of the last request.
    pub(crate) async fn served(&self, accounts: &[String]) -> Result<BTreeMap<String, usize>> {
        let mut served = BTreeMap::new();
        for account in accounts {
            for one in self.arrived(account, 0).await?.iter().filter(|one| one.status == Some(200)) {
                *served.entry(one.worker().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        Ok(served)
    }

    /// Something goes wrong for a credential from now on.
    pub(crate) async fn fault(&self, kind: &str, account: &str, more: Value) -> Result<()> {
        let mut rule = json!({ "kind": kind, "account": account });
        if let (Some(rule), Value::Object(more)) = (rule.as_object_mut(), more) {
            rule.extend(more);
        }
        web::call(Method::POST, &format!("{}/faults", self.control), None, Some(rule)).await.map(drop)
    }
}
