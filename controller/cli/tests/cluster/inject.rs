//! What `penstock inject` writes is what an API server takes, and means what it meant before.

use penstock_e2e::{ApiServer, with_temp_ns};
use serde_json::Value;
use tokio::process::Command;

use super::{penstock, run, said};

const APP: &str = include_str!("app.yaml");

async fn kubectl(server: &ApiServer, namespace: &str, arguments: &[&str], input: &str) -> String {
    let arguments: Vec<_> = ["-n", namespace].iter().chain(arguments).copied().collect();
    let done = run(Command::from(server.kubectl_command(&arguments).unwrap()), input).await;
    assert!(done.status.success(), "{}", said(&done));
    String::from_utf8(done.stdout).unwrap()
}

async fn injected(arguments: &[&str], input: &str) -> String {
    let arguments: Vec<_> = ["inject", "-f", "-"].iter().chain(arguments).copied().collect();
    let done = penstock(&arguments, input).await;
    assert!(done.status.success(), "{}", said(&done));
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn an_api_server_takes_every_kind_with_its_sidecar() {
    let server = ApiServer::shared().await;
    with_temp_ns(&server.client(), async |namespace: &str| {
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        for output in ["yaml", "json"] {
            let manifests = injected(&["-o", output, "--pool", "batch"], APP).await;
            assert_eq!(manifests.matches("penstock-proxy").count(), 4, "{manifests}");
            let told = kubectl(server, namespace, &apply, &manifests).await;
            for object in [
                "service/app",
                "deployment.apps/app",
                "statefulset.apps/app",
                "cronjob.batch/app",
                "pod/app",
                "configmap/app",
            ] {
                assert!(told.contains(object), "{object} in {told}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn injecting_again_changes_nothing() {
    let once = injected(&[], APP).await;
    assert_eq!(injected(&[], &once).await, once);
}

#[tokio::test]
async fn kubectl_reads_the_same_values_afterwards() {
    let server = ApiServer::shared().await;
    // kubectl writes one object after the other.
    let read = async |manifests: &str| -> Vec<Value> {
        let arguments = ["create", "--dry-run=client", "-o", "json", "-f", "-", "--validate=false"];
        let text = kubectl(server, "default", &arguments, manifests).await;
        serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().unwrap()
    };
    let (before, after) = (read(APP).await, read(&injected(&[], APP).await).await);
    let spec = |all: &[Value]| {
        let deployment = all.iter().find(|object| object["kind"] == "Deployment").unwrap();
        deployment["spec"]["template"]["spec"].clone()
    };
    let (before, after) = (spec(&before), spec(&after));
    for field in [
        "/volumes/0",
        "/containers/0/args",
        "/containers/0/ports",
        "/containers/0/env/0",
        "/containers/0/env/1",
    ] {
        assert!(before.pointer(field).is_some(), "{field} in {before}");
        assert_eq!(before.pointer(field), after.pointer(field), "{field}");
    }
}

#[tokio::test]
async fn one_workload_that_cannot_have_a_sidecar_stops_it_all() {
    let host = APP.replace("restartPolicy: Never", "hostNetwork: true");
    let done = penstock(&["inject", "-f", "-"], &host).await;
    assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0));
    let message = said(&done);
    assert!(
        message.contains("-: document 4, line ") && message.contains("pod/app: hostNetwork"),
        "{message}"
    );
}

#[tokio::test]
async fn kubectl_knows_the_program_as_its_plugin() {
    let server = ApiServer::shared().await;
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_penstock"), folder.path().join("kubectl-penstock"))
        .unwrap();
    let mut command = server.kubectl_command(&["penstock", "inject", "-f", "-", "-o", "json"]).unwrap();
    command.env("PATH", folder.path());
    let done = run(command.into(), APP).await;
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("deployment/app injected"), "{}", said(&done));
}
