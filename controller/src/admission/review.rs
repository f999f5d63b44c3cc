//! The API server's question about a pod, and the answer (`admission.k8s.io/v1`). The pod stays the JSON that it
//! is, so that the patch fits whatever version of Kubernetes wrote it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_controller_core::inject::{self, Outcome, Place, Settings};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The question.
#[derive(Debug, Deserialize)]
pub(super) struct Review {
    request: Request,
}

#[derive(Debug, Deserialize)]
struct Request {
    uid: String,
    #[serde(default)]
    namespace: String,
    object: Value,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Reply,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What became of the pod, for whoever watches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It has a sidecar now.
    Injected,
    /// It stays as it is.
    Skipped,
    /// It is not created, for these reasons.
    Refused(String),
    /// It stays as it is because of us.
    Failed(String),
}

impl Review {
    pub(super) fn namespace(&self) -> String {
        self.request.namespace.clone()
    }

    /// Its name, or how the names of its kind begin: most pods get theirs after this.
    pub(super) fn pod(&self) -> String {
        let metadata = &self.request.object["metadata"];
        let name = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str());
        name.unwrap_or_default().to_owned()
    }

    pub(super) fn answer(self, settings: &Settings) -> (Answer, Answered) {
        let Request { uid, namespace, object } = self.request;
        // Those that are asked about are to have a sidecar: the selectors of the configuration say so.
        let place = Place { namespace: Some(&namespace), asked: true };
        let (reply, answered) = match inject::inject(&object, place, settings) {
            Outcome::Injected { pod, warnings } => injected(&object, &pod, warnings),
            Outcome::Skipped(skip) => {
                let warnings = if skip.disappoints() { vec![without(skip.reason())] } else { Vec::new() };
                (Reply { allowed: true, warnings, ..Reply::default() }, Answered::Skipped)
            }
            Outcome::Refused(reasons) => refused(&reasons.join("; ")),
        };
        let response = Reply { uid, ..reply };
        (Answer { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response }, answered)
    }
}

impl Answered {
    pub(super) fn as_label(&self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Skipped => "skipped",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

fn injected(before: &Value, after: &Value, warnings: Vec<String>) -> (Reply, Answered) {
    match serde_json::to_vec(&json_patch::diff(before, after)) {
        Ok(patch) => {
            let (patch, patch_type) = (Some(STANDARD.encode(patch)), Some("JSONPatch"));
            (Reply { allowed: true, patch, patch_type, warnings, ..Reply::default() }, Answered::Injected)
        }
        Err(error) => {
            let warnings = vec![without("its patch could not be written")];
            (Reply { allowed: true, warnings, ..Reply::default() }, Answered::Failed(error.to_string()))
        }
    }
}

fn refused(reasons: &str) -> (Reply, Answered) {
    let status =
        json!({ "code": 422, "reason": "Invalid", "message": format!("no sidecar can be added: {reasons}") });
    (
        Reply { allowed: false, status: Some(status), ..Reply::default() },
        Answered::Refused(reasons.to_owned()),
    )
}

fn without(reason: &str) -> String {
    format!("penstock: the pod gets no sidecar: {reason}")
}

#[cfg(test)]
mod tests {
    use penstock_controller_core::inject::Resources;

    use super::*;

    fn answer(namespace: &str, object: &Value) -> (Value, Answered) {
        let settings = Settings {
            version: "1.2.3".into(),
            image: "proxy:1".into(),
            controller: "https://c:8091".into(),
            name: "penstock".into(),
            own_namespace: Some("penstock-system".into()),
            native: true,
            admin_address: "0.0.0.0".parse().unwrap(),
            resources: Resources::default(),
        };
        let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": { "uid": "u-1", "namespace": namespace, "operation": "CREATE", "object": object } });
        let (answer, answered) = serde_json::from_value::<Review>(review).unwrap().answer(&settings);
        (serde_json::to_value(answer).unwrap(), answered)
    }

    fn pod(spec: &Value) -> Value {
        let mut pod =
            json!({ "metadata": { "generateName": "app-", "creationTimestamp": null }, "spec": spec });
        pod["spec"]["fieldOfTheFuture"] = json!([1]);
        pod
    }

    #[test]
    fn the_patch_makes_of_the_pod_what_was_decided() {
        let before = pod(
            &json!({ "initContainers": [{ "name": "a" }, { "name": "b" }], "containers": [{ "name": "app" }] }),
        );
        let (answer, answered) = answer("team", &before);
        assert_eq!(answered, Answered::Injected);
        let reply = &answer["response"];
        assert_eq!(
            (&reply["uid"], &reply["allowed"], &reply["patchType"]),
            (&json!("u-1"), &json!(true), &json!("JSONPatch"))
        );
        let patch = STANDARD.decode(reply["patch"].as_str().unwrap()).unwrap();
        let mut after = before.clone();
        json_patch::patch(&mut after, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap()).unwrap();
        let names: Vec<_> =
            after["spec"]["initContainers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["penstock-proxy", "a", "b"]);
        assert_eq!(after["spec"]["fieldOfTheFuture"], json!([1]));
    }

    #[test]
    fn a_pod_that_cannot_have_a_sidecar_is_refused_with_the_reason() {
        let host = pod(&json!({ "hostNetwork": true, "containers": [{ "name": "app" }] }));
        let (answer, answered) = answer("team", &host);
        assert!(matches!(answered, Answered::Refused(_)));
        assert_eq!(
            (&answer["response"]["allowed"], &answer["response"]["status"]["code"]),
            (&json!(false), &json!(422))
        );
        assert!(
            answer["response"]["status"]["message"].as_str().unwrap().contains("hostNetwork"),
            "{answer}"
        );
    }

    #[test]
    fn a_pod_that_stays_as_it_is_is_allowed_and_told_if_it_should_have_one() {
        let spec = json!({ "containers": [{ "name": "app" }] });
        let (answer_, answered) = answer("kube-system", &pod(&spec));
        assert_eq!((answered, &answer_["response"]["allowed"]), (Answered::Skipped, &json!(true)));
        assert!(
            answer_["response"]["warnings"][0].as_str().unwrap().contains("namespace of the cluster"),
            "{answer_}"
        );
        let out = json!({ "metadata": { "labels": { "penstock.dev/inject": "false" } }, "spec": spec });
        assert_eq!(answer("team", &out).0["response"], json!({ "uid": "u-1", "allowed": true }));
    }
}
