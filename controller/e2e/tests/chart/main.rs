//! The chart, as far as an API server without nodes can tell. What only a cluster with nodes can is proven there.
//!
//! | module | what it proves |
//! |---|---|
//! | `rendering` | every values file renders as it did, and what the API server says about it |
//! | `values` | mistakes in values are refused, and every value is described |
//! | `release` | install, upgrade, rollback and uninstall keep what must be kept |
//! | `leftovers` | what the controller made goes with the release |
//! | `observability` | alerts and the dashboard ask for metrics that there are |

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod leftovers;
mod observability;
mod release;
mod rendering;
mod values;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use penstock_e2e::parts;
use penstock_e2e::product::{NAMESPACE, chart};
use penstock_e2e::scratch::Scratch;
use serde_json::Value;

/// A file of the checkout.
fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The values files of the chart's tests, by name.
fn cases() -> Vec<String> {
    let files = std::fs::read_dir(chart().join("tests")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect();
    names.sort_unstable();
    names
}

/// The Helm of the test programs; what it keeps of servers goes with the tests.
fn helm(arguments: &[&str]) -> Command {
    static KEPT: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("helm").unwrap());
    let mut command = Command::new(parts::program("helm").unwrap());
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR"] {
        command.env(variable, KEPT.path());
    }
    command.args(arguments);
    command
}

/// Renders the chart as `helm install penstock` would, with more flags.
fn template(flags: &[&str]) -> Output {
    let chart = chart();
    let base = ["template", "penstock", chart.to_str().unwrap(), "--namespace", NAMESPACE];
    helm(&[&base[..], &["--kube-version", "1.36.3"], flags].concat()).output().unwrap()
}

/// The same of a values file, which must succeed. Without the definitions, which stand in `crds/`.
fn rendered(case: &str, flags: &[&str]) -> String {
    let values = chart().join(format!("tests/{case}.yaml"));
    let base = ["--values", values.to_str().unwrap(), "--set", "crds.install=false"];
    let done = template(&[&base[..], flags].concat());
    assert!(done.status.success(), "{case}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The objects of a rendering.
fn objects(rendered: &str) -> Vec<Value> {
    let documents = rendered.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap());
    documents.filter(|object: &Value| !object.is_null()).collect()
}

/// The objects of a kind.
fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}
