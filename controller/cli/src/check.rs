//! `penstock check`: whether an installation in a cluster is well, and what to do if not.
//!
//! | module | what it owns |
//! |---|---|
//! | `facts` | what there is to know |
//! | `gather` | asks the cluster for it; judges nothing |
//! | `findings` | what follows from it; asks nothing |

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Serialize;

use findings::{Level, Section, judge};

mod facts;
mod findings;
mod gather;

/// Between two looks with --wait.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// Check whether an installation in a cluster is well, and say what to do if not
///
/// √ is well, ‼ is a warning, × is a failure. The exit status is 1 if there is a failure. Needs the rights to
/// read what it looks at; what it may not see it says.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// Namespace of the installation
    #[arg(short, long, default_value = "penstock-system")]
    namespace: String,
    /// Name of the installation (of the Helm release)
    #[arg(long, default_value = "penstock")]
    name: String,
    /// [default: $KUBECONFIG, ~/.kube/config, or the cluster that this runs in]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long)]
    context: Option<String>,
    /// Look again until there is no failure, for so many seconds at most
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Printed,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Printed {
    /// A line each
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    healthy: bool,
    sections: &'a [Section],
}

/// Returns whether there is no failure.
pub(crate) async fn run(args: CheckArgs) -> anyhow::Result<bool> {
    let client = args.client().await?;
    let installation = gather::Installation { namespace: args.namespace, name: args.name };
    let until = tokio::time::Instant::now() + Duration::from_secs(args.wait);
    let sections = loop {
        // On the heap: it asks for everything at once.
        let facts = Box::pin(gather::facts(&client, &installation)).await;
        let sections = judge(&facts, Timestamp::now());
        if worst(&sections) != Level::Failure || tokio::time::Instant::now() >= until {
            break sections;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    };
    let healthy = worst(&sections) != Level::Failure;
    match args.output {
        Printed::Text => print!("{}", text(&sections)),
        Printed::Json => {
            println!("{}", serde_json::to_string_pretty(&Report { healthy, sections: &sections })?);
        }
    }
    Ok(healthy)
}

impl CheckArgs {
    async fn client(&self) -> anyhow::Result<Client> {
        let config = if self.kubeconfig.is_none() && self.context.is_none() {
            Config::infer().await.context("finding the cluster")?
        } else {
            let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
            let kubeconfig = match &self.kubeconfig {
                Some(path) => Kubeconfig::read_from(path),
                None => Kubeconfig::read(),
            };
            Config::from_custom_kubeconfig(kubeconfig.context("reading the kubeconfig")?, &options)
                .await
                .context("using the kubeconfig")?
        };
        Client::try_from(config).context("connecting to the cluster")
    }
}

fn worst(sections: &[Section]) -> Level {
    let levels = sections.iter().flat_map(|section| &section.findings).map(|finding| finding.level);
    levels.max().unwrap_or(Level::Good)
}

fn text(sections: &[Section]) -> String {
    let mut text = String::new();
    let (mut warnings, mut failures) = (0, 0);
    for Section { title, findings } in sections {
        text.push_str(&format!("{title}\n"));
        for finding in findings {
            text.push_str(&format!("{} {}\n", finding.level.sign(), finding.text));
            text.extend(finding.advice.iter().map(|advice| format!("    → {advice}\n")));
            warnings += usize::from(finding.level == Level::Warning);
            failures += usize::from(finding.level == Level::Failure);
        }
        text.push('\n');
    }
    let sum = match (failures, warnings) {
        (0, 0) => "√ all is well\n".to_owned(),
        (0, warnings) => format!("√ no failure, {warnings} to look at\n"),
        (failures, warnings) => format!("× failures: {failures}, to look at: {warnings}\n"),
    };
    text + &sum
}
