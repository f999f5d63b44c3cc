//! Every values file renders as it did, and the API server likes it.

use std::io::Write;
use std::process::Stdio;

use penstock_e2e::ApiServer;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{NAMESPACE, cases, chart, checkout, helm, objects, of_kind, rendered, template};

/// Set it to write the golden renderings anew.
const UPDATE: &str = "PENSTOCK_UPDATE_GOLDEN";

/// The generated password, which is another one each time.
fn without_password(rendered: &str) -> String {
    let password = rendered.lines().find_map(|line| line.strip_prefix("  password: "));
    password.map_or_else(|| rendered.to_owned(), |password| rendered.replace(password, "PASSWORD"))
}

#[test]
fn every_values_file_renders_as_it_did() {
    let mut changed = Vec::new();
    for case in cases() {
        let rendered = without_password(&rendered(&case, &[]));
        let path = chart().join(format!("tests/golden/{case}.yaml"));
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &rendered).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        if golden != rendered {
            let line = golden.lines().zip(rendered.lines()).position(|(old, new)| old != new);
            let line = line.unwrap_or_else(|| golden.lines().count().min(rendered.lines().count()));
            let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
            changed.push(format!("{case}, line {}:\n  {}\n  {}", line + 1, at(&golden), at(&rendered)));
        }
    }
    assert!(
        changed.is_empty(),
        "renderings changed; look at them, then run the test with {UPDATE}=1:\n{}",
        changed.join("\n")
    );
}

#[test]
fn helm_has_nothing_to_say_against_the_chart() {
    let chart = chart();
    for case in cases() {
        let values = chart.join(format!("tests/{case}.yaml"));
        let flags = ["lint", "--strict", chart.to_str().unwrap(), "--values", values.to_str().unwrap()];
        let done = helm(&flags).output().unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{case}: {said}");
        assert!(!said.contains("[WARNING]"), "{case}: {said}");
    }
}

#[test]
fn the_chart_installs_the_definitions_as_they_are_checked_in() {
    let done = template(&[]);
    let rendered = objects(&String::from_utf8(done.stdout).unwrap());
    let mut definitions = of_kind(&rendered, "CustomResourceDefinition");
    definitions.sort_by_key(|definition| definition["metadata"]["name"].to_string());
    let expected = penstock_crds::definitions();
    assert_eq!(definitions.len(), expected.len());
    for (definition, expected) in definitions.into_iter().zip(expected) {
        let expected = serde_json::to_value(expected).unwrap();
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        // The API server's defaults aside, what is in the chart is what the types say.
        assert_eq!(definition["spec"]["names"], expected["spec"]["names"]);
        assert_eq!(definition["metadata"]["name"], expected["metadata"]["name"]);
    }
}

/// The API server with everything that renderings are put into.
async fn server() -> &'static ApiServer {
    static PREPARED: OnceCell<()> = OnceCell::const_new();
    let server = ApiServer::shared().await;
    let prepare = async || {
        let kinds = checkout("controller/e2e/tests/chart/kinds-of-others.yaml");
        server.kubectl(&["apply", "--filename", kinds.to_str().unwrap()]).unwrap();
        server.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
        for namespace in [NAMESPACE, "llm", "search"] {
            server.kubectl(&["create", "namespace", namespace]).unwrap();
        }
        let strictest =
            ["pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted"];
        server.kubectl(&[&["label", "namespace", NAMESPACE], &strictest[..]].concat()).unwrap();
    };
    PREPARED.get_or_init(prepare).await;
    server
}

/// What kubectl writes on both its outputs, given a rendering.
async fn dry_run(rendered: &str) -> (bool, String) {
    let flags = ["apply", "--dry-run=server", "--validate=strict", "--filename=-"];
    let mut command = server().await.kubectl_command(&flags).unwrap();
    let mut kubectl =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    kubectl.stdin.take().unwrap().write_all(rendered.as_bytes()).unwrap();
    let done = kubectl.wait_with_output().unwrap();
    (done.status.success(), String::from_utf8(done.stderr).unwrap())
}

#[tokio::test]
async fn the_api_server_accepts_every_rendering_without_a_warning() {
    for case in cases() {
        let (accepted, said) = dry_run(&rendered(&case, &[])).await;
        assert!(accepted && said.is_empty(), "{case}: {said}");
    }
}

#[tokio::test]
async fn every_pod_is_let_into_a_namespace_with_the_strictest_pod_security() {
    let mut pods = 0;
    for case in cases() {
        for object in objects(&rendered(&case, &[])) {
            let template = &object["spec"]["template"];
            if template.is_null() {
                continue;
            }
            let pod = serde_json::json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "one", "namespace": NAMESPACE, "labels": template["metadata"]["labels"] },
                "spec": bare(&template["spec"]),
            });
            let (accepted, said) = dry_run(&pod.to_string()).await;
            assert!(accepted, "{case}, {}: {said}", object["metadata"]["name"]);
            pods += 1;
        }
    }
    assert!(pods > 10, "{pods} pods");
}

/// What belongs to objects that are not there: neither the priority class nor the volumes of a claim.
fn bare(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let fields = spec.as_object_mut().unwrap();
    fields.remove("priorityClassName");
    let volumes = fields.entry("volumes").or_insert_with(|| Value::Array(vec![]));
    let volumes = volumes.as_array_mut().unwrap();
    if !volumes.iter().any(|volume| volume["name"] == "data") {
        volumes.push(serde_json::json!({ "name": "data", "emptyDir": {} }));
    }
    spec
}
