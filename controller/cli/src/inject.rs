//! `penstock inject`: manifests get their sidecars without a webhook, by the same rule.
//!
//! | module | what it owns |
//! |---|---|
//! | `documents` | files of manifests, read and written |

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use penstock_controller_core::inject::manifest::{Became, Found, Said};
use penstock_controller_core::inject::{Resources, Settings};

use documents::File;

mod documents;

/// Put sidecars into the pods of manifests, as the webhook would
///
/// Rewrites Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs and Lists of them, and
/// prints all documents in their order; other kinds are printed as they are. A sidecar of another version is
/// replaced. What became of each workload is told on standard error. If one cannot have a sidecar, nothing
/// is printed. Comments inside of rewritten documents are lost.
///
/// For example: penstock inject -f app.yaml | kubectl apply -f -
#[derive(Args)]
pub(crate) struct InjectArgs {
    /// File of manifests, YAML or JSON; `-` is standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// How to print; json prints a List if there are several documents
    #[arg(short, long, value_enum, default_value_t)]
    output: Written,
    /// Namespace of workloads that do not say one
    #[arg(short, long)]
    namespace: Option<String>,
    /// The AccountPool that the workloads use; an annotation of theirs is overwritten
    #[arg(long)]
    pool: Option<String>,
    /// The proxy's image [default: registry.penstock.dev/proxy of this version]
    #[arg(long, value_name = "IMAGE", env = "PENSTOCK_PROXY_IMAGE")]
    proxy_image: Option<String>,
    /// Where sidecars find the controller [default: https://NAME-controller.INSTALLED_IN.svc:8091]
    #[arg(long, value_name = "URL", env = "PENSTOCK_PROXY_CONTROLLER_URL")]
    proxy_controller_url: Option<String>,
    /// Name of the installation (of the Helm release)
    #[arg(long, default_value = "penstock", env = "PENSTOCK_NAME")]
    name: String,
    /// Namespace of the installation
    #[arg(long, value_name = "NAMESPACE", default_value = "penstock-system")]
    installed_in: String,
    /// Address for probes and metrics in the pod; :: where pods have no IPv4
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    admin_address: IpAddr,
    /// For Kubernetes before 1.29: the sidecar stands among the containers, and pods that end are refused
    #[arg(long)]
    classic: bool,
}

/// How manifests are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Written {
    /// Documents as in the input
    #[default]
    Yaml,
    /// One JSON document
    Json,
}

impl InjectArgs {
    fn settings(&self) -> Settings {
        let version = env!("CARGO_PKG_VERSION");
        let controller = || format!("https://{}-controller.{}.svc:8091", self.name, self.installed_in);
        Settings {
            version: version.to_owned(),
            image: self
                .proxy_image
                .clone()
                .unwrap_or_else(|| format!("registry.penstock.dev/proxy:{version}")),
            controller: self.proxy_controller_url.clone().unwrap_or_else(controller),
            name: self.name.clone(),
            own_namespace: Some(self.installed_in.clone()),
            native: !self.classic,
            admin_address: self.admin_address,
            resources: Resources::default(),
        }
    }
}

pub(crate) fn run(args: &InjectArgs) -> anyhow::Result<()> {
    let settings = args.settings();
    let said = Said { namespace: args.namespace.as_deref(), pool: args.pool.as_deref() };
    let mut files = Vec::new();
    for path in &args.filename {
        let name = path.display().to_string();
        files.push(File::read(&name, &read(path)?)?.rewritten(said, &settings));
    }
    let refused = files.iter().flat_map(File::refusals).collect::<Vec<_>>();
    if !refused.is_empty() {
        bail!("nothing was changed:\n  {}", refused.join("\n  "));
    }
    let found: Vec<_> = files.iter().flat_map(File::found).collect();
    let text = match args.output {
        Written::Yaml => documents::to_yaml(&files)?,
        Written::Json => documents::to_json(&files)?,
    };
    std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    tell(&found);
    Ok(())
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// On standard error, because manifests are on the other.
fn tell(found: &[&Found]) {
    if found.is_empty() {
        eprintln!("no pods found; nothing was changed");
    }
    for Found { workload, became } in found {
        match became {
            Became::Injected(warnings) => {
                eprintln!("{workload} injected");
                warnings.iter().for_each(|warning| eprintln!("  warning: {warning}"));
            }
            Became::Skipped(skip) => eprintln!("{workload} skipped: {}", skip.reason()),
            Became::Refused(reasons) => eprintln!("{workload} refused: {}", reasons.join("; ")),
        }
    }
}
