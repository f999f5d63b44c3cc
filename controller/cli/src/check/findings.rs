//! What follows from the facts: findings, each with what to do. Asks nobody, knows no clock.
//!
//! | module | what it judges |
//! |---|---|
//! | `platform` | the cluster, and the definitions of our kinds |
//! | `programs` | controller, history, gateway |
//! | `trust` | the authority, and who trusts it |
//! | `injection` | the webhook, and pods that should have a sidecar |
//! | `accounts` | what requests can use |

use jiff::Timestamp;
use serde::Serialize;

use super::facts::{Facts, Unknown};

mod accounts;
mod injection;
mod platform;
mod programs;
mod trust;

#[cfg(test)]
mod tests;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// It is well.
    Good,
    /// Requests are served; somebody should look at it, or it could not be seen.
    Warning,
    /// Something does not work.
    Failure,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What is so.
    pub(super) text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Findings about one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) findings: Vec<Finding>,
}

/// Everything that follows.
pub(super) fn judge(facts: &Facts, now: Timestamp) -> Vec<Section> {
    let cluster = Section { title: "Kubernetes", findings: platform::cluster(facts) };
    if facts.kubernetes.is_err() {
        // Everything else would only say the same.
        return vec![cluster];
    }
    vec![
        cluster,
        Section { title: "Definitions", findings: platform::definitions(facts) },
        Section { title: "Controller", findings: programs::controller(facts, now) },
        Section { title: "Certificates", findings: trust::findings(facts, now) },
        Section { title: "Sidecars", findings: injection::findings(facts) },
        Section { title: "Gateway", findings: programs::gateway(facts) },
        Section { title: "Accounts", findings: accounts::findings(facts, now) },
    ]
}

impl Level {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Good => "√",
            Self::Warning => "‼",
            Self::Failure => "×",
        }
    }
}

fn good(text: impl Into<String>) -> Finding {
    Finding { level: Level::Good, text: text.into(), advice: None }
}

fn warning(text: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { level: Level::Warning, text: text.into(), advice: Some(advice.into()) }
}

fn failure(text: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { level: Level::Failure, text: text.into(), advice: Some(advice.into()) }
}

/// Something that could not be learned; `missing` is for when it is not there.
fn unknown(what: &str, why: &Unknown, missing: impl FnOnce() -> Finding) -> Finding {
    match why {
        Unknown::Missing => missing(),
        Unknown::Forbidden(said) => {
            warning(format!("{what} may not be seen: {said}"), "ask somebody who may, or for the right to")
        }
        Unknown::Failed(said) => failure(
            format!("{what} could not be seen: {said}"),
            "look again; if it stays, the message is the lead",
        ),
    }
}
