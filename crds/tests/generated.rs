//! The checked-in YAML is what the types say.

use std::path::Path;

#[test]
fn the_checked_in_definitions_are_those_of_the_types() {
    for (name, yaml) in penstock_crds::yaml::files().expect("every definition can be written") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        #[expect(clippy::disallowed_methods, reason = "this test is about a file")]
        let held = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            held == yaml,
            "crds/{name} differs from the types: run `make crds` and commit what it writes"
        );
    }
}
