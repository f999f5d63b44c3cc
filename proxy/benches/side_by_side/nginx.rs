//! nginx, set up as a plain relay to a model's API would be: nothing is logged, nothing waits for more.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::measure::IDLE_STREAMS;
use crate::process::{Process, child_of};

const PROGRAM: &str = "/usr/sbin/nginx";

/// A master and one worker.
pub(crate) struct Nginx {
    process: Process,
    /// The process that serves.
    pub(crate) worker: u32,
    /// What it says of its version.
    pub(crate) version: String,
}

impl Nginx {
    /// Serves each address by relaying to its upstream.
    ///
    /// `files`: how many it may have open.
    pub(crate) async fn start(
        folder: &Path,
        relays: &[(SocketAddr, SocketAddr)],
        files: u64,
    ) -> anyhow::Result<Self> {
        fs::create_dir(folder)?;
        // Its worker gives up root, and has to reach its folders nevertheless.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(folder, relays, files))?;
        let version = Command::new(PROGRAM).arg("-v").output().await.context("Debian's nginx is needed")?;
        let version = String::from_utf8_lossy(&version.stderr).trim().replace("nginx version: ", "");
        let process = Process::start(Command::new(PROGRAM).arg("-p").arg(folder).arg("-c").arg(&config))?;
        let worker = child_of(process.pid).await?;
        for (listen, _) in relays {
            let reachable = async {
                while TcpStream::connect(listen).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(Duration::from_secs(10), reachable).await.context("nginx does not listen")?;
        }
        Ok(Self { process, worker, version })
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// One worker that keeps its upstream connections. Answers are passed on as they come. Request bodies are
/// gathered in memory before they are sent on, as Penstock does and nginx by default: an account may be
/// asked anew only with a body that was kept. (Passing them on as they come is set beside it in
/// `docs/benchmarks.md`.)
fn configuration(folder: &Path, relays: &[(SocketAddr, SocketAddr)], files: u64) -> String {
    // With less than a sixteenth of them free, nginx closes connections that have not asked yet.
    let connections = files.min(2 * u64::from(IDLE_STREAMS)) * 5 / 4;
    let at = folder.display();
    let mut servers = String::new();
    for (number, (listen, upstream)) in relays.iter().enumerate() {
        servers.push_str(&format!(
            "  upstream provider{number} {{ server {upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen {listen} backlog=4096;
    location / {{
      proxy_pass http://provider{number};
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
"
        ));
    }
    format!(
        "daemon off;
worker_processes 1;
pid {at}/nginx.pid;
error_log {at}/error.log warn;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {at}/body;
  proxy_temp_path {at}/proxy;
  fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi;
  scgi_temp_path {at}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 100000000;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  tcp_nodelay on;
{servers}}}
"
    )
}
