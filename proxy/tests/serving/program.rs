//! The program itself: how it starts, says where it is, and ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::support::*;

/// A running program that does not outlive its test.
struct Program(Child);

impl Program {
    fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_penstock-proxy"));
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Its line on standard output.
    fn ready(&mut self) -> (SocketAddr, SocketAddr) {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |key: &str| said[key].as_str().unwrap().parse().unwrap();
        (address("listen"), address("admin"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn it_says_where_it_listens_waits_for_a_snapshot_and_ends_when_asked() {
    // Nobody listens at the controller's address: it starts all the same.
    let flags =
        ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--controller", "https://127.0.0.1:9"];
    let mut program = Program::start(&flags);
    let (listen, admin) = program.ready();
    let ask = async |address, path: &str| {
        let mut client = Client::connect(address).await;
        client.write(get(path, "")).await;
        client.answer().await
    };
    assert_eq!(ask(admin, "/livez").await.status, 200);
    // What it waits for, and why in vain, for whoever reads the pod's events.
    loop {
        let ready = ask(admin, "/readyz").await;
        assert_eq!(ready.status, 503);
        assert!(ready.text().starts_with("waiting for the first state from https://127.0.0.1:9"));
        if ready.text().contains("refused") {
            break;
        }
    }
    assert_eq!(ask(listen, "/v1/models").await.status, 503, "no accounts yet");
    let asked = Command::new("kill").args(["-TERM", &program.0.id().to_string()]).status().unwrap();
    assert!(asked.success());
    assert_eq!(program.0.wait().unwrap().code(), Some(0));
}

#[test]
fn every_mistake_in_its_settings_is_said_at_once() {
    let mut program = Program::start(&["--listen", "x", "--workers", "0"]);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut program.0.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(2));
    assert!(said.contains("--listen") && said.contains("--workers"), "{said}");
}
