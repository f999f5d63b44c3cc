//! What is checked in is what the types say.

use std::path::Path;

use penstock_crds::{reference, yaml};

#[track_caller]
fn held(folder: &str, files: Vec<(String, String)>) {
    for (name, text) in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join(&name);
        #[expect(clippy::disallowed_methods, reason = "this test is about a file")]
        let held = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            held == text,
            "{folder}/{name} differs from the types: run `make crds` and commit what it writes"
        );
    }
}

#[test]
fn the_checked_in_definitions_are_those_of_the_types() {
    held("crds", yaml::files().expect("every definition can be written"));
}

#[test]
fn the_chart_applies_the_definitions_of_the_types() {
    held("charts/penstock/files/crds", yaml::chart_files().expect("every definition can be written"));
}

#[test]
fn the_reference_describes_the_types() {
    held("docs/reference", reference::pages());
}
