//! Who a proxy is by its ServiceAccount's token, what that lets it see, and how long a review of the token
//! counts. Never takes a proxy's own word for any of it.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use penstock_proto::event::Event;
use penstock_proto::ids::AccountId;
use serde::Deserialize;

use crate::snapshot::Viewer;

/// What a token must be meant for: one stolen from another service, or meant for the API server, opens nothing.
pub const AUDIENCE: &str = "penstock";
/// How long a review counts while the API server can be asked again: a ServiceAccount that was deleted is
/// out after this at its next connection.
const REVIEW_COUNTS: SignedDuration = SignedDuration::from_mins(5);
/// How long a refusal counts: a proxy whose ServiceAccount was created a moment ago is not kept waiting, and
/// one that tries again and again costs the API server little.
const REFUSAL_COUNTS: SignedDuration = SignedDuration::from_secs(5);
/// Where the API server tells the pod that a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A workload, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// The ServiceAccount that it runs as.
    pub service_account: String,
    /// Its pod; empty: the token is bound to none.
    pub pod: String,
}

/// What came of a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The token is this workload's.
    Workload {
        /// Whose.
        workload: Workload,
        /// When the token ends; `None`: it does not say.
        ends: Option<Timestamp>,
    },
    /// It is no ServiceAccount's token for us.
    Refused,
}

/// A verdict, and when the API server gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// What came of it.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
}

/// What a review is worth at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It counts.
    Counts,
    /// It counts only if the API server cannot be asked now.
    Spare,
    /// It counts no more.
    Nothing,
}

/// The ServiceAccounts whose proxies are gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateways(BTreeSet<(String, String)>);

/// Not `namespace/name` of a ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not namespace/name of a ServiceAccount")]
pub struct InvalidGateway {
    /// What was given.
    pub given: String,
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
}

/// What a review says. `token` is what was reviewed: its end stands only in itself.
pub fn verdict(status: &TokenReviewStatus, token: &str) -> Verdict {
    let audiences = status.audiences.as_deref().unwrap_or_default();
    // An API server that knows no audiences names none: then the token may be meant for anybody.
    if status.authenticated != Some(true) || !audiences.iter().any(|audience| audience == AUDIENCE) {
        return Verdict::Refused;
    }
    let user = status.user.as_ref();
    let named =
        user.and_then(|user| user.username.as_deref()?.strip_prefix(SERVICE_ACCOUNT)?.split_once(':'));
    let Some((namespace, service_account)) = named else { return Verdict::Refused };
    let pod = user.and_then(|user| user.extra.as_ref()?.get(POD_NAME)?.first());
    let workload = Workload {
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        pod: pod.cloned().unwrap_or_default(),
    };
    Verdict::Workload { workload, ends: ends(token) }
}

/// The claim `exp` of a token that somebody else has verified.
fn ends(token: &str) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims.exp).ok()
}

impl Reviewed {
    /// What it is worth at `now`.
    pub fn worth(&self, now: Timestamp) -> Worth {
        let age = now.duration_since(self.at);
        match &self.verdict {
            Verdict::Refused if age < REFUSAL_COUNTS => Worth::Counts,
            Verdict::Workload { ends: Some(ends), .. } if now >= *ends => Worth::Nothing,
            Verdict::Workload { .. } if age < REVIEW_COUNTS => Worth::Counts,
            Verdict::Workload { ends: Some(_), .. } => Worth::Spare,
            // Without an end of its own a token must not live for ever on one review.
            Verdict::Refused | Verdict::Workload { ends: None, .. } => Worth::Nothing,
        }
    }
}

impl Gateways {
    /// Reads `namespace/name` of each.
    pub fn parse<'a>(given: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidGateway> {
        let read = |one: &'a str| match one.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok((namespace.to_owned(), name.to_owned()))
            }
            _ => Err(InvalidGateway { given: one.to_owned() }),
        };
        given.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the workload's proxy serves others than its own pod.
    pub fn has(&self, workload: &Workload) -> bool {
        self.0
            .iter()
            .any(|(namespace, name)| *namespace == workload.namespace && *name == workload.service_account)
    }

    /// What a workload's proxy may see: a gateway what any watched namespace may use, a sidecar what its own may.
    pub fn viewer(&self, workload: &Workload) -> Viewer {
        if self.has(workload) { Viewer::All } else { Viewer::Namespaces([workload.namespace.clone()].into()) }
    }
}

/// Makes what a sidecar reports a report of its own pod. `foreign`: whether there is such an account, and it
/// may not use it; what it says of one would be spent from the budget of others.
pub fn attribute(event: &mut Event, workload: &Workload, foreign: impl Fn(&AccountId) -> bool) {
    let Workload { namespace, service_account, pod } = workload;
    event.caller.namespace.clone_from(namespace);
    // Who proved itself to the sidecar with a client key is somebody else.
    if event.caller.key.is_empty() {
        event.caller.service_account.clone_from(service_account);
        event.caller.pod.clone_from(pod);
    }
    event.pool.take_if(|pool| pool.namespace() != namespace);
    event.attempts.retain(|attempt| !foreign(&attempt.account));
    if let Some(account) = event.account.take_if(|account| foreign(account)) {
        event
            .warnings
            .push(format!("account {account} was reported, which namespace {namespace} may not use"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    /// As an API server of Kubernetes 1.36 answers.
    fn status() -> Value {
        json!({
            "authenticated": true,
            "audiences": ["penstock"],
            "user": {
                "username": "system:serviceaccount:search:crawler",
                "uid": "e1e2552c-d68e-4cc1-8ab3-918e5246cad0",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:search", "system:authenticated"],
                "extra": {
                    "authentication.kubernetes.io/credential-id": ["JTI=b598e01b-831d-4bb9-b0f8-34524b084d24"],
                    "authentication.kubernetes.io/pod-name": ["crawler-7"],
                    "authentication.kubernetes.io/pod-uid": ["74472102-3dae-4752-93c3-9c9a8f96c8d7"],
                },
            },
        })
    }

    fn workload() -> Workload {
        let text = str::to_owned;
        Workload { namespace: text("search"), service_account: text("crawler"), pod: text("crawler-7") }
    }

    fn verdict_of(change: impl FnOnce(&mut Value)) -> Verdict {
        let mut status = status();
        change(&mut status);
        verdict(&serde_json::from_value(status).unwrap(), &token(&json!({"exp": 1_000})))
    }

    #[test]
    fn a_review_says_who_a_proxy_is_and_until_when() {
        let known = Verdict::Workload { workload: workload(), ends: Some(at(1_000)) };
        assert_eq!(verdict_of(|_| ()), known);
        let Verdict::Workload { workload, .. } = verdict_of(|status| drop(status["user"]["extra"].take()))
        else {
            panic!()
        };
        assert_eq!(workload.pod, "", "a token that is bound to no pod");
    }

    #[test]
    fn what_is_not_a_service_account_s_token_for_us_is_refused() {
        for change in [
            (|status: &mut Value| status["authenticated"] = json!(false)) as fn(&mut Value),
            |status| status["authenticated"] = Value::Null,
            |status| status["audiences"] = json!(["https://kubernetes.default.svc"]),
            |status| status["audiences"] = Value::Null,
            |status| status["user"]["username"] = json!("admin"),
            |status| status["user"]["username"] = json!("system:node:n1"),
            |status| status["user"] = Value::Null,
        ] {
            assert_eq!(verdict_of(change), Verdict::Refused);
        }
    }

    #[test]
    fn a_review_counts_for_minutes_and_in_need_until_the_token_ends() {
        let review = |verdict| Reviewed { verdict, at: at(100) };
        let known = review(Verdict::Workload { workload: workload(), ends: Some(at(3_700)) });
        assert_eq!(known.worth(at(399)), Worth::Counts);
        assert_eq!((known.worth(at(400)), known.worth(at(3_699))), (Worth::Spare, Worth::Spare));
        assert_eq!(known.worth(at(3_700)), Worth::Nothing);
        let short = review(Verdict::Workload { workload: workload(), ends: Some(at(200)) });
        assert_eq!(short.worth(at(200)), Worth::Nothing);
        let endless = review(Verdict::Workload { workload: workload(), ends: None });
        assert_eq!((endless.worth(at(399)), endless.worth(at(400))), (Worth::Counts, Worth::Nothing));
        let refused = review(Verdict::Refused);
        assert_eq!((refused.worth(at(104)), refused.worth(at(105))), (Worth::Counts, Worth::Nothing));
    }

    #[test]
    fn a_sidecar_sees_its_own_namespace_and_a_gateway_everything() {
        let gateways = Gateways::parse(["penstock-system/penstock-gateway"]).unwrap();
        assert_eq!(gateways.viewer(&workload()), Viewer::Namespaces(["search".to_owned()].into()));
        let named = |namespace: &str, name: &str| {
            let workload =
                Workload { namespace: namespace.into(), service_account: name.into(), ..workload() };
            gateways.viewer(&workload)
        };
        assert_eq!(named("penstock-system", "penstock-gateway"), Viewer::All);
        assert_ne!(named("search", "penstock-gateway"), Viewer::All, "anybody may take the name elsewhere");
        assert_ne!(named("penstock-system", "default"), Viewer::All);
    }

    #[test]
    fn a_gateway_is_named_by_namespace_and_name() {
        for wrong in ["", "gateway", "/gateway", "llm/", "a/b/c"] {
            assert!(Gateways::parse([wrong]).is_err(), "{wrong:?}");
        }
    }
}
