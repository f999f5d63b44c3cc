//! Installed, called in every way, and over to the next account when one is limited.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use penstock_e2e::wait::PATIENCE;
use penstock_e2e::{await_condition, until};
use serde_json::{Value, json};

use super::history;
use super::team::{ACCOUNTS, Team, with_team};
use super::workload::{EVERY_KIND, Load, Outcome, Sdk, Way, Worker};

/// Requests of a workload that ends by itself.
const SOME: usize = 20;

const DEPLOYED: Worker = Worker { name: "deployed", sdk: Sdk::AnthropicPython, way: Way::Sidecar };
const JOB: Worker = Worker { name: "job", sdk: Sdk::OpenaiNode, way: Way::Sidecar };
const ALONE: [Worker; 2] = [
    Worker { name: "alone-python", sdk: Sdk::OpenaiPython, way: Way::BaseUrl },
    Worker { name: "alone-node", sdk: Sdk::AnthropicNode, way: Way::BaseUrl },
];

#[tokio::test]
async fn deployments_jobs_and_pods_without_a_sidecar_are_served_and_the_history_names_them() {
    with_team(async |team: &Team| {
        let deployed = deployment(team).await.unwrap();
        let job = job(team).await.unwrap();
        for worker in ALONE {
            team.apply(&kind("v1", "Pod", worker.pod(SOME))).await.unwrap();
        }
        let mut outcome = Outcome::of(team, &job).await.unwrap();
        for worker in ALONE {
            outcome = outcome.and(Outcome::of(team, worker.name).await.unwrap());
        }
        outcome.assert_that_nothing_failed();
        assert_eq!(outcome.requests(), 3 * SOME);
        let jobs: Api<Job> = Api::namespaced(team.client(), team.namespace());
        let complete = |job: &Job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(1));
        await_condition(&jobs, JOB.name, |job| job.is_some_and(complete), PATIENCE).await.unwrap();

        let pods = [deployed.as_str(), &job, "alone-python", "alone-node"];
        let rows = until("rows of all", async || {
            let rows = history::rows(team.cluster(), team.namespace()).await?;
            for pod in pods {
                let of_pod = rows.iter().filter(|row| row.pod == pod).count();
                ensure!(of_pod >= SOME, "{of_pod} rows of {pod} in {rows:?}");
            }
            Ok(rows)
        });
        for row in rows.await.unwrap() {
            assert!(pods.contains(&row.pod.as_str()), "{row:?}");
            assert_eq!(
                (row.service_account.as_str(), row.status, row.ending.as_str()),
                ("app", 200, "complete")
            );
            assert!(
                ACCOUNTS.iter().any(|(name, _)| row.account == format!("{}/{name}", team.namespace())),
                "{row:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_limited_account_is_left_by_all_and_taken_back_when_its_limit_ends() {
    with_team(async |team: &Team| {
        let watched = Watched::start(team).unwrap();
        let load = Load::start(team, &EVERY_KIND).await.unwrap();
        let (limited, key) = ("claude-1", team.key("claude-1"));
        team.simulator().fault("five_hour", &key, json!({ "resetsInSeconds": 12 })).await.unwrap();
        let first = until("the first 429", async || {
            let arrived = team.simulator().arrived(&key, 0).await?;
            let first = arrived.into_iter().find(|one| one.status == Some(429));
            first.ok_or_else(|| anyhow::anyhow!("no 429 yet"))
        });
        let (first, began) = (first.await.unwrap(), Instant::now());
        everyone_knows(team, limited).await.unwrap();
        println!("every proxy knows at most {:?} after the test saw the 429", began.elapsed());

        // From here on nobody asks it, however much is asked.
        let last = team.simulator().arrived(&key, first.n).await.unwrap().last().map_or(first.n, |one| one.n);
        load.passes(8).await.unwrap();
        let after = team.simulator().arrived(&key, last).await.unwrap();
        let too_many: Vec<_> = after.iter().filter(|one| one.status == Some(429)).collect();
        assert!(too_many.is_empty(), "asked although all knew: {too_many:?}");
        let refused = team.simulator().arrived(&key, first.n - 1).await.unwrap();
        println!("{} requests met the limit", refused.iter().filter(|one| one.status == Some(429)).count());

        until("requests on it again", async || {
            let arrived = team.simulator().arrived(&key, last).await?;
            ensure!(arrived.iter().any(|one| one.status == Some(200)), "none yet");
            Ok(())
        })
        .await
        .unwrap();
        let states = watched.until(limited, &["Available", "Limited", "Available"]).await.unwrap();
        println!("kubectl get pa --watch: {states:?}");
        let outcome = load.stop().await.unwrap();
        outcome.assert_that_nothing_failed();
        history::is_complete(team.cluster(), team.namespace(), &outcome).await.unwrap();
        let events = until("events of both transitions", async || {
            let events = team.events(limited).await?;
            ensure!(events.len() >= 2, "{events:?}");
            Ok(events)
        });
        println!("{:#?}", events.await.unwrap());
    })
    .await;
}

/// `kubectl get pa --watch`, as a person sees it.
struct Watched {
    output: std::path::PathBuf,
    #[expect(dead_code, reason = "kept for its drop")]
    kubectl: tokio::process::Child,
}

impl Watched {
    fn start(team: &Team) -> Result<Self> {
        let output = team.file("watched");
        let mut kubectl = team.cluster().tools().command("kubectl")?;
        kubectl.args(["get", "pa", "--watch", "--no-headers", "-n", team.namespace()]);
        kubectl.stdin(Stdio::null()).stdout(std::fs::File::create(&output)?);
        Ok(Self { output, kubectl: kubectl.spawn()? })
    }

    /// Waits until the states that were shown of an account are these.
    async fn until(&self, account: &str, expected: &[&str]) -> Result<Vec<String>> {
        until("the states that kubectl shows", async || {
            let shown = std::fs::read_to_string(&self.output)?;
            let words = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let of_account = words.filter(|words| words.first() == Some(&account));
            // Name, provider, state. Before the first status there is none.
            let states = of_account.filter_map(|words| words.get(2).map(|state| (*state).to_owned()));
            let mut states: Vec<_> = states.filter(|state| state.starts_with(char::is_uppercase)).collect();
            states.dedup();
            ensure!(states == expected, "{states:?} in\n{shown}");
            Ok(states)
        })
        .await
    }
}

/// Waits until every proxy says itself that it does not use the account.
async fn everyone_knows(team: &Team<'_>, account: &str) -> Result<()> {
    let proxies = team.proxies().await?;
    ensure!(proxies.len() >= 4, "two sidecars and two gateways: {proxies:?}");
    team.known_to(&proxies, account, |found| found["state"] != "Available").await
}

fn kind(version: &str, kind: &str, mut object: Value) -> Value {
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    object
}

/// Starts it; the name of its pod.
async fn deployment(team: &Team<'_>) -> Result<String> {
    let mut template = DEPLOYED.pod(0);
    template["spec"]["restartPolicy"] = json!("Always");
    let labels = json!({ "app": DEPLOYED.name });
    let deployment = json!({
        "metadata": { "name": DEPLOYED.name },
        "spec": { "selector": { "matchLabels": labels }, "template": template },
    });
    team.apply(&kind("apps/v1", "Deployment", deployment)).await?;
    pod_of(team, DEPLOYED.name).await
}

/// Starts it; the name of its pod.
async fn job(team: &Team<'_>) -> Result<String> {
    let job =
        json!({ "metadata": { "name": JOB.name }, "spec": { "backoffLimit": 0, "template": JOB.pod(SOME) } });
    team.apply(&kind("batch/v1", "Job", job)).await?;
    pod_of(team, JOB.name).await
}

async fn pod_of(team: &Team<'_>, app: &str) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(team.client(), team.namespace());
    until("its pod", async || {
        let found = pods.list(&ListParams::default().labels(&format!("app={app}"))).await?;
        let first = found.items.first().ok_or_else(|| anyhow::anyhow!("no pod of {app}"))?;
        Ok(first.name_any())
    })
    .await
}
