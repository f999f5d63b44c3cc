//! The command line of Penstock.
//!
//! | module | what it does |
//! |---|---|
//! | [`up`] | `penstock up`: controller and proxy on this machine, supervised |
//! | [`accounts`] | `penstock accounts …`: list, add, pause, resume, remove, describe |
//! | [`keys`] | `penstock keys …`: client keys for callers from other machines |
//! | [`requests`] | `penstock requests [--follow]`: the history, and live |
//! | [`check`] | `penstock check`: whether an installation in a cluster is well |
//! | [`inject`] | `penstock inject`: manifests get their sidecars without a webhook |
//! | [`stats`] | `penstock stats`: totals, models, accounts |
//! | [`uninstall`] | what the chart runs when its release has gone |
//! | [`client`] | the management API over HTTP |
//! | [`settings`] | where flags, variables and `penstock.yaml` come together |
//! | [`output`] | tables for people, JSON and YAML for programs |

mod accounts;
mod check;
mod client;
mod inject;
mod keys;
mod output;
mod requests;
mod settings;
mod stats;
mod uninstall;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Pools LLM provider accounts: requests go to an account that can serve them, and on to the next when
/// one is limited, overloaded or broken.
///
/// Start with `penstock up --demo` to see it work without any key, or export `ANTHROPIC_API_KEY` or
/// `OPENAI_API_KEY` and run `penstock up`.
#[derive(Parser)]
#[command(name = "penstock", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run controller and proxy on this machine, without a cluster
    Up(up::UpArgs),
    /// Manage provider accounts
    #[command(subcommand, visible_alias = "account")]
    Accounts(accounts::AccountsCommand),
    /// Manage client keys, for callers from other machines
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Show the requests that went through the pool
    Requests(requests::RequestsArgs),
    /// Show totals: requests, success, tokens, cost, models, accounts
    Stats(stats::StatsArgs),
    /// Remove what the controller made besides the Helm release; the chart runs this when the release has gone
    #[command(hide = true)]
    UninstallLeftovers(uninstall::UninstallArgs),
    /// Check whether an installation in a cluster is well, and say what to do if not
    Check(check::CheckArgs),
    /// Put sidecars into the pods of manifests, as the webhook would
    Inject(inject::InjectArgs),
    /// Print a completion script for your shell
    ///
    /// For example: penstock completion bash > ~/.local/share/bash-completion/completions/penstock
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Check(args) => {
            let healthy = check::run(args).await?;
            return Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Up(args) => up::run(args).await,
        Command::Accounts(command) => accounts::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Requests(args) => requests::run(args).await,
        Command::Stats(args) => stats::run(args).await,
        Command::UninstallLeftovers(args) => uninstall::run(args).await,
        Command::Inject(args) => inject::run(&args),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "penstock", &mut std::io::stdout());
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("penstock: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
