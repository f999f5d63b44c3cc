//! The control groups of a cluster: one in each hierarchy, a child of the test's own, so that its limits hold.
//! The one place that knows how this kernel's control groups are laid out (version 1).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Where the hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// What a new group of the hierarchy `cpuset` needs from its parent before it takes a process.
const INHERITED: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// The groups of one cluster.
#[derive(Debug)]
pub(super) struct Cgroups {
    hierarchies: Vec<String>,
    directories: Vec<PathBuf>,
}

impl Cgroups {
    /// Where they will be.
    pub(super) fn of(name: &str) -> Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").context("/proc/self/cgroup")?;
        // `4:memory:/path`; version 2 is the line without a name.
        let own: Vec<(&str, &str)> = own
            .lines()
            .filter_map(|line| line.split_once(':')?.1.split_once(':'))
            .filter(|(hierarchy, _)| !hierarchy.is_empty())
            .collect();
        ensure!(
            !own.is_empty(),
            "this machine has control groups of version 2 only, which this harness has not learned yet; \
             set PENSTOCK_E2E_KUBECONFIG to a cluster for tests"
        );
        let directory = |(hierarchy, path): &(&str, &str)| {
            let mounted = hierarchy.trim_start_matches("name=");
            Path::new(ROOT).join(mounted).join(path.trim_start_matches('/')).join(name)
        };
        Ok(Self {
            hierarchies: own.iter().map(|(hierarchy, _)| (*hierarchy).to_owned()).collect(),
            directories: own.iter().map(directory).collect(),
        })
    }

    /// Makes them.
    pub(super) fn make(&self) -> Result<()> {
        for directory in &self.directories {
            fs::create_dir(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
            for file in INHERITED {
                let parents = directory.with_file_name(file);
                if parents.exists() {
                    fs::write(directory.join(file), fs::read(&parents)?)
                        .with_context(|| format!("{file} of {}", directory.display()))?;
                }
            }
            let clone = directory.join("cgroup.clone_children");
            if directory.join("cpuset.cpus").exists() {
                fs::write(&clone, "1").with_context(|| clone.display().to_string())?;
            }
        }
        Ok(())
    }

    /// The names of the hierarchies, as a mount wants them.
    pub(super) fn hierarchies(&self) -> &[String] {
        &self.hierarchies
    }

    /// Their directories.
    pub(super) fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Shell that moves itself into all of them.
    pub(super) fn join_script(&self) -> String {
        let join = |directory: &PathBuf| format!("echo $$ >'{}/cgroup.procs' && ", directory.display());
        self.directories.iter().map(join).collect()
    }
}
