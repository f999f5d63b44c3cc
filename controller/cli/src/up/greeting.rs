//! What a person needs to know after the start: addresses, accounts, and a line to paste per client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;

use super::child::Ready;
use crate::accounts;
use crate::client::Api;
use crate::settings::Settings;

#[derive(Deserialize)]
struct LoginLink {
    path: String,
}

#[derive(Deserialize)]
struct Problem {
    file: String,
    line: Option<u64>,
    message: String,
}

/// Prints it. The dashboard link works once.
pub(crate) async fn print(
    settings: &Settings,
    controller: &Ready,
    proxy: &Ready,
    api: &Api,
    demo: bool,
) -> anyhow::Result<()> {
    let (proxy_at, admin_at, api_at) = (
        reachable(proxy.address("listen")?),
        reachable(proxy.address("admin")?),
        reachable(controller.address("api")?),
    );
    let link: LoginLink =
        api.post("/api/session/links", &json!({})).await.context("asking for a dashboard link")?;
    let accounts = accounts::list(api).await.context("asking for the accounts")?;

    println!("Penstock is running.\n");
    println!("  clients     http://{proxy_at}");
    println!("  dashboard   http://{api_at}{}   (this link works once)", link.path);
    println!("  metrics     http://{admin_at}/metrics");
    println!("  accounts    {}   (edit: in force within a second)", settings.config.display());
    println!("  data        {}\n", settings.data.display());
    if accounts.is_empty() {
        println!("{}", no_accounts());
    } else {
        println!("{}\n", accounts::overview(&accounts));
    }
    for problem in api.get::<Vec<Problem>>("/api/problems").await.unwrap_or_default() {
        let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
        println!("  not in force: {}{line}: {}\n", problem.file, problem.message);
    }
    println!("Point your clients at it:\n");
    for (client, line) in lines_to_paste(&format!("http://{proxy_at}")) {
        println!("  {client:<12} {line}");
    }
    if demo {
        println!(
            "\nThis is the demo: all accounts are on a simulated provider, and some traffic is made up."
        );
        println!("Watch it: penstock requests --follow    penstock accounts list    penstock stats");
    }
    println!();
    Ok(())
}

/// Where a client finds a listener: one that listens everywhere is at this machine's own address.
fn reachable(listener: SocketAddr) -> SocketAddr {
    if !listener.ip().is_unspecified() {
        return listener;
    }
    let (any, elsewhere, loopback): (IpAddr, IpAddr, IpAddr) = match listener.ip() {
        // Addresses of documents: nothing is sent there, only a route is looked up.
        IpAddr::V4(any) => (any.into(), Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(any) => {
            (any.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into())
        }
    };
    let own = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((elsewhere, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    // Without any network there is only this machine.
    SocketAddr::new(own().unwrap_or(loopback), listener.port())
}

/// One line per client that points it at the pool. The key is a placeholder that SDKs insist on.
pub(crate) fn lines_to_paste(base: &str) -> [(&'static str, String); 4] {
    [
        ("Claude Code", format!("ANTHROPIC_BASE_URL={base} ANTHROPIC_API_KEY=penstock claude")),
        (
            "Codex",
            format!(
                "OPENAI_API_KEY=penstock codex -c model_provider=penstock -c 'model_providers.penstock={{name=\"Penstock\", \
                 base_url=\"{base}/v1\", env_key=\"OPENAI_API_KEY\", wire_api=\"responses\"}}'"
            ),
        ),
        ("Anthropic SDK", format!("export ANTHROPIC_BASE_URL={base} ANTHROPIC_API_KEY=penstock")),
        ("OpenAI SDK", format!("export OPENAI_BASE_URL={base}/v1 OPENAI_API_KEY=penstock")),
    ]
}

fn no_accounts() -> &'static str {
    "No accounts yet. Add one:\n\n  \
     echo \"$ANTHROPIC_API_KEY\" | penstock accounts add claude-1 --provider anthropic\n\n\
     or put a ProviderAccount and its Secret into the folder above, or start with --demo.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_everywhere_is_shown_where_it_can_be_reached() {
        let named: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(reachable(named), named);
        for everywhere in ["0.0.0.0:8080", "[::]:8080"] {
            let everywhere: SocketAddr = everywhere.parse().unwrap();
            let shown = reachable(everywhere);
            assert!(!shown.ip().is_unspecified() && shown.port() == 8080, "{shown}");
            assert_eq!(shown.is_ipv4(), everywhere.is_ipv4());
        }
    }

    #[test]
    fn openai_clients_get_a_base_url_with_v1_and_anthropic_clients_without() {
        let lines = lines_to_paste("http://127.0.0.1:8080");
        assert!(lines[0].1.contains("ANTHROPIC_BASE_URL=http://127.0.0.1:8080 "));
        assert!(lines[1].1.contains("base_url=\"http://127.0.0.1:8080/v1\""));
        assert!(lines[3].1.contains("OPENAI_BASE_URL=http://127.0.0.1:8080/v1 "));
    }
}
