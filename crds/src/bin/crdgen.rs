//! Writes the definitions of all kinds as YAML: `crdgen DIRECTORY` into files named as Kubernetes names
//! them, `crdgen` to standard output.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1);
    match write(directory.as_deref().map(Path::new)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "writing files is what this program is for")]
fn write(directory: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    for (name, yaml) in penstock_crds::yaml::files()? {
        match directory {
            Some(directory) => std::fs::write(directory.join(name), yaml)?,
            None => println!("---\n{yaml}"),
        }
    }
    Ok(())
}
