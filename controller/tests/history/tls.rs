//! A Postgres with TLS, and whom it is believed to be.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use penstock_controller::store::Store;
use penstock_controller::store::embedded::Embedded;
use penstock_controller::store::postgres::Target;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{at, event, priced};

/// A server on a port of loopback, with a certificate for `db.example` and 127.0.0.1 of an authority of
/// our making.
struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

impl Server {
    /// Without names it has no TLS.
    async fn start(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        open_to_all(folder.path());
        let embedded = Embedded::start(folder.path()).await.expect("Postgres starts");
        let pid = embedded.pid().expect("it lives");
        let postgres = std::fs::read_link(format!("/proc/{pid}/exe")).expect("its program");
        stop(embedded).await;
        let data = folder.path().join("postgres");
        let authority = authority();
        let with_tls = !names.is_empty();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate");
        std::fs::write(folder.path().join("ca.pem"), authority.pem).expect("written");
        keep(&data, "server.crt", &certificate.pem());
        keep(&data, "server.key", &key.serialize_pem());
        let (child, port) = serve(&postgres, &data, with_tls);
        Self { child, port, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn store(&self, options: &str, ca: Option<&Path>) -> Store {
        let url = format!("postgres://penstock@127.0.0.1:{}/postgres{options}", self.port);
        Store::new(Target::parse(&url, ca).expect("a target")).expect("a pool")
    }

    /// Until it takes connections.
    async fn answers(&self) {
        let plain = self.store("?sslmode=disable", None);
        while plain.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("ours");
}

async fn stop(embedded: Embedded) {
    let stopped = CancellationToken::new();
    stopped.cancel();
    embedded.run(stopped).await;
}

/// A file of the data folder's owner, who is somebody else where we are root.
fn keep(data: &Path, name: &str, text: &str) {
    let (file, owner) = (data.join(name), std::fs::metadata(data).expect("a folder"));
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("ours");
    chown(&file, Some(owner.uid()), Some(owner.gid())).expect("handed over");
}

fn serve(postgres: &Path, data: &Path, with_tls: bool) -> (Child, u16) {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
    let owner = std::fs::metadata(data).expect("a folder");
    let mut command = Command::new(postgres);
    command.arg("-D").arg(data).args(["-c", &format!("port={port}"), "-c", "listen_addresses=127.0.0.1"]);
    let tls = if with_tls { "ssl=on" } else { "ssl=off" };
    command.args(["-c", "unix_socket_directories=", "-c", tls, "-c", "fsync=off"]);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    (command.spawn().expect("Postgres starts"), port)
}

fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

#[tokio::test]
async fn a_database_is_believed_by_its_authority_and_its_name() {
    let server = Server::start(&["db.example", "127.0.0.1"]).await;
    server.answers().await;
    let ca = server.ca();
    for options in ["", "?sslmode=require", "?sslmode=verify-full", "?sslmode=verify-ca"] {
        let store = server.store(options, Some(&ca));
        store.ping().await.unwrap_or_else(|error| panic!("{options}: {}", said(&error)));
    }
    let store = server.store("?sslmode=verify-full", Some(&ca));
    store.migrate().await.expect("migrated");
    store.write(&[priced(event(at("2026-11-21T12:00:00Z"), 1))]).await.expect("written");
    store.announcements().await.expect("also a connection of its own is over TLS");

    // The platform does not know the authority, and neither does another one.
    let other = server.folder.path().join("other.pem");
    std::fs::write(&other, authority().pem).expect("written");
    for (options, ca) in [
        ("", None),
        ("?sslmode=require", None),
        ("?sslmode=verify-ca", Some(other.as_path())),
        ("?sslmode=verify-full", Some(other.as_path())),
    ] {
        let refused = said(&server.store(options, ca).ping().await.expect_err("not believed"));
        assert!(refused.contains("--database-ca"), "{options}: {refused}");
        let refused = said(&server.store(options, ca).announcements().await.err().expect("not believed"));
        assert!(refused.contains("--database-ca"), "{options}: {refused}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_believed_only_where_names_do_not_matter() {
    let server = Server::start(&["db.example"]).await;
    server.answers().await;
    let ca = server.ca();
    server.store("?sslmode=verify-ca", Some(&ca)).ping().await.expect("believed");
    for options in ["?sslmode=verify-full", "?sslmode=require", ""] {
        let refused = said(&server.store(options, Some(&ca)).ping().await.expect_err("not believed"));
        assert!(refused.contains("a name that is in the certificate"), "{options}: {refused}");
    }
}

#[tokio::test]
async fn with_an_authority_a_database_without_tls_is_not_spoken_to() {
    let server = Server::start(&[]).await;
    server.answers().await;
    server.store("", None).ping().await.expect("in clear, because nobody asked for more");
    let ca = server.ca();
    for (options, ca) in [("", Some(ca.as_path())), ("?sslmode=require", None)] {
        let refused = said(&server.store(options, ca).ping().await.expect_err("not spoken to"));
        assert!(refused.contains("TLS"), "{options}: {refused}");
    }
}
