//! Writes what is generated from the types: `crdgen ROOT` writes the definitions of all kinds into `crds/` and the
//! chart, and the reference pages into `docs/reference/` of the checkout at ROOT.

use std::path::Path;
use std::process::ExitCode;

use penstock_crds::{reference, yaml};

fn main() -> ExitCode {
    let Some(root) = std::env::args_os().nth(1) else {
        eprintln!("usage: crdgen ROOT");
        return ExitCode::from(2);
    };
    match write(Path::new(&root)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "writing files is what this program is for")]
fn write(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for (folder, files) in [
        ("crds", yaml::files()?),
        ("charts/penstock/files/crds", yaml::chart_files()?),
        ("docs/reference", reference::pages()),
    ] {
        std::fs::create_dir_all(root.join(folder))?;
        for (name, text) in files {
            std::fs::write(root.join(folder).join(name), text)?;
        }
    }
    Ok(())
}
