//! Every rule of the controller's roles is needed: the API server's audit log says what the controller asks for; each
//! rule is removed in turn, and something that the controller does is forbidden from then on.

use anyhow::{Context, Result, bail, ensure};
use kube::ResourceExt;
use penstock_e2e::{Cluster, until};
use serde_json::{Value, json};

use super::exercise::exercise;
use super::installation::{NAMESPACE, PROVIDER, pods_of, upgrade};
use super::team::{Team, alone_with_team};

const ACCOUNT: &str = "system:serviceaccount:penstock-system:penstock-controller";
/// Its roles, as `kubectl get` knows them.
const LABELS: &str = "app.kubernetes.io/name=penstock,app.kubernetes.io/component=controller";

/// One thing that a rule allows.
#[derive(Debug, Clone)]
struct Right {
    role: Role,
    /// Of the rule in its role.
    index: usize,
    verb: String,
    /// `group/resource`, or a path.
    what: String,
    names: Vec<String>,
}

#[derive(Debug, Clone)]
struct Role {
    kind: String,
    name: String,
    /// `None`: it holds everywhere.
    namespace: Option<String>,
}

/// One request of the controller.
#[derive(Debug, Clone)]
struct Asked {
    verb: String,
    what: String,
    namespace: String,
    name: String,
    /// The controller's.
    pod: String,
    /// By its rights: a namespace that is being removed refuses new objects, too.
    allowed: bool,
}

#[tokio::test]
async fn every_right_of_the_controller_is_used_and_none_is_missing() {
    alone_with_team(async |team: &Team| {
        let cluster = team.cluster();
        if cluster.directory().is_none() {
            println!("the audit log of a given cluster is not ours to read");
            return;
        }
        exercise(team).await.unwrap();
        are_used_and_needed(cluster).await.unwrap();
        // In some namespaces, and Secrets in fewer still.
        let watched = format!("namespaces={{{},{PROVIDER}}}", team.namespace());
        let credentials = format!("secretNamespaces={{{}}}", team.namespace());
        let price = ["prices.anthropic.claude-own.input=7", "prices.anthropic.claude-own.output=9"];
        upgrade(cluster, &[&watched, &credentials, price[0], price[1]]).await.unwrap();
        exercise(team).await.unwrap();
        are_used_and_needed(cluster).await.unwrap();
        upgrade(cluster, &[]).await.unwrap();
    })
    .await;
}

/// Finds a request for each right, and removes each rule.
async fn are_used_and_needed(cluster: &Cluster) -> Result<()> {
    let rights = rights(cluster).await?;
    ensure!(rights.len() > 20, "{rights:?}");
    let needed = until("a request for each right", async || {
        let asked = asked(cluster)?;
        // Those that an upgrade replaced had lost their rights before they ended.
        let running: Vec<String> =
            pods_of(cluster, "controller").await?.iter().map(ResourceExt::name_any).collect();
        let of_running: Vec<_> = asked.iter().filter(|one| running.contains(&one.pod)).collect();
        let missing = never_allowed(&of_running);
        ensure!(missing.is_empty(), "refused: {missing:?}");
        let witnesses = rights.iter().map(|right| (right, witness(right, &rights, &asked)));
        let needed: Vec<_> =
            witnesses.filter_map(|(right, asked)| Some((right, asked?.attributes()))).collect();
        let unused: Vec<_> =
            rights.iter().filter(|one| !needed.iter().any(|(other, _)| one.is_the_right_of(other))).collect();
        ensure!(unused.is_empty(), "nothing needs: {unused:#?}");
        Ok(needed)
    })
    .await?;
    for (right, witness) in first_of_each_rule(&needed) {
        without(cluster, right, async || forbidden(cluster, witness).await).await?;
    }
    Ok(())
}

impl Right {
    fn allows(&self, asked: &Asked) -> bool {
        self.verb == asked.verb
            && self.what == asked.what
            && (self.names.is_empty() || self.names.contains(&asked.name))
            && self.role.namespace.as_ref().is_none_or(|namespace| *namespace == asked.namespace)
    }

    /// The roles of one name, each in a namespace of its own, are one: what is needed in one of them is needed.
    fn is_of_the_rule_of(&self, other: &Self) -> bool {
        (&self.role.kind, &self.role.name, self.index) == (&other.role.kind, &other.role.name, other.index)
    }

    fn is_the_right_of(&self, other: &Self) -> bool {
        self.is_of_the_rule_of(other) && self.verb == other.verb && self.what == other.what
    }
}

impl Asked {
    /// As a SubjectAccessReview asks.
    fn attributes(&self) -> Value {
        if self.what.starts_with('/') {
            return json!({ "nonResourceAttributes": { "path": self.what, "verb": self.verb } });
        }
        let (group, resource) = self.what.split_once('/').unwrap_or_default();
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        json!({ "resourceAttributes": {
            "group": group, "resource": resource, "subresource": sub, "verb": self.verb,
            "namespace": self.namespace, "name": self.name,
        }})
    }
}

/// A request that nothing but the rule of this right allows.
fn witness<'a>(right: &Right, all: &[Right], asked: &'a [Asked]) -> Option<&'a Asked> {
    let others = |one: &Asked| {
        all.iter().filter(|other| !other.is_of_the_rule_of(right)).any(|other| other.allows(one))
    };
    asked.iter().find(|one| one.allowed && right.allows(one) && !others(one))
}

/// What was refused and never allowed afterwards: an API server that has just started knows no roles for a moment.
fn never_allowed<'a>(asked: &[&'a Asked]) -> Vec<&'a Asked> {
    let same = |one: &Asked, other: &Asked| {
        (&one.verb, &one.what, &one.namespace, &one.name)
            == (&other.verb, &other.what, &other.namespace, &other.name)
    };
    let lasts = |at: usize| !asked[at + 1..].iter().any(|later| later.allowed && same(asked[at], later));
    (0..asked.len()).filter(|at| !asked[*at].allowed && lasts(*at)).map(|at| asked[at]).collect()
}

fn first_of_each_rule<'a>(needed: &'a [(&Right, Value)]) -> Vec<&'a (&'a Right, Value)> {
    let mut found: Vec<&(&Right, Value)> = Vec::new();
    for one in needed {
        if !found.iter().any(|(other, _)| other.is_of_the_rule_of(one.0)) {
            found.push(one);
        }
    }
    found
}

/// Everything that the roles allow.
async fn rights(cluster: &Cluster) -> Result<Vec<Right>> {
    let listed = ["get", "clusterroles,roles", "--all-namespaces", "--selector", LABELS, "--output=json"];
    let roles: Value = serde_json::from_str(&cluster.kubectl(&listed).await?)?;
    let mut rights = Vec::new();
    for object in list(&roles["items"]) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let role = Role {
            kind: text(&object["kind"]),
            name: text(&object["metadata"]["name"]),
            namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
        };
        for (index, rule) in list(&object["rules"]).enumerate() {
            for (verb, what) in combinations(rule) {
                let names = list(&rule["resourceNames"]).map(text).collect();
                rights.push(Right { role: role.clone(), index, verb, what, names });
            }
        }
    }
    Ok(rights)
}

fn combinations(rule: &Value) -> Vec<(String, String)> {
    let texts =
        |field: &str| list(&rule[field]).filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let of_resources = texts("apiGroups")
        .into_iter()
        .flat_map(|group| texts("resources").into_iter().map(move |resource| format!("{group}/{resource}")));
    let whats: Vec<String> = of_resources.chain(texts("nonResourceURLs")).collect();
    texts("verbs")
        .into_iter()
        .flat_map(|verb| whats.iter().map(move |what| (verb.clone(), what.clone())))
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What the controller has asked for, from its first start on.
fn asked(cluster: &Cluster) -> Result<Vec<Asked>> {
    let events = cluster.audited()?;
    let of_controller = events.iter().filter(|event| event["user"]["username"] == ACCOUNT);
    Ok(of_controller.flat_map(requests).collect())
}

/// Applying an object that did not exist needs the right to create it, too.
fn requests(event: &Value) -> Vec<Asked> {
    let asked = request(event);
    let creates = asked.verb == "patch" && event["responseStatus"]["code"] == 201;
    let created = creates.then(|| Asked { verb: "create".to_owned(), ..asked.clone() });
    std::iter::once(asked).chain(created).collect()
}

fn request(event: &Value) -> Asked {
    let object = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let path = text(&event["requestURI"]);
    let what = match object["resource"].as_str() {
        None => path.split('?').next().unwrap_or_default().to_owned(),
        Some(resource) => match object["subresource"].as_str() {
            None => format!("{}/{resource}", text(&object["apiGroup"])),
            Some(sub) => format!("{}/{resource}/{sub}", text(&object["apiGroup"])),
        },
    };
    Asked {
        verb: text(&event["verb"]),
        what,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        pod: text(&event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0]),
        allowed: event["annotations"]["authorization.k8s.io/decision"] != "forbid",
    }
}

/// Removes the rule of this right, looks, and puts it back.
async fn without(cluster: &Cluster, right: &Right, look: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let role = [right.role.kind.as_str(), right.role.name.as_str()];
    let namespace = right.role.namespace.as_ref().map(|name| format!("--namespace={name}"));
    let place: Vec<&str> = role.into_iter().chain(namespace.as_deref()).collect();
    let object: Value =
        serde_json::from_str(&cluster.kubectl(&[&["get", "-o", "json"], &place[..]].concat()).await?)?;
    let patch = async |operation: Value| {
        let operation = json!([operation]).to_string();
        cluster.kubectl(&[&["patch", "--type=json", "--patch", &operation], &place[..]].concat()).await
    };
    let path = format!("/rules/{}", right.index);
    patch(json!({ "op": "remove", "path": path })).await?;
    let looked = look().await;
    patch(json!({ "op": "add", "path": path, "value": object["rules"][right.index] })).await?;
    looked.with_context(|| format!("without {right:?}"))
}

/// Waits until the API server refuses this to the controller.
async fn forbidden(cluster: &Cluster, attributes: &Value) -> Result<()> {
    let mut spec = attributes.clone();
    spec["user"] = json!(ACCOUNT);
    spec["groups"] = json!([
        format!("system:serviceaccounts:{NAMESPACE}"),
        "system:serviceaccounts",
        "system:authenticated"
    ]);
    let review =
        json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec });
    let client = cluster.client();
    until("the refusal", async || {
        let body = serde_json::to_vec(&review)?;
        let post = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews");
        let answer: Value =
            client.request(post.header("content-type", "application/json").body(body)?).await?;
        match answer["status"]["allowed"].as_bool() {
            Some(false) => Ok(()),
            _ => bail!("still allowed: {review}"),
        }
    })
    .await
}
