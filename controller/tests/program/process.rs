//! A controller as a process of its own, and what it prints.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

pub(crate) struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    pub(crate) api: String,
    pub(crate) grpc: String,
    admin_token: String,
    printed: String,
}

impl Process {
    /// Starts it in a folder, on free ports.
    pub(crate) fn spawn(dir: &Path, flags: &[&str], parent: Option<u32>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_penstock-controller"));
        let free = ["--api-listen", "--grpc-listen"].into_iter().filter(|flag| !flags.contains(flag));
        command
            .arg("--config")
            .arg(dir.join("config"))
            .arg("--data")
            .arg(dir.join("data"))
            .args(free.flat_map(|flag| [flag, "127.0.0.1:0"]))
            .args(flags)
            .env_remove("PENSTOCK_PARENT")
            .envs(parent.map(|pid| ("PENSTOCK_PARENT", pid.to_string())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let unknown = String::new;
        Self { child, stdout, api: unknown(), grpc: unknown(), admin_token: unknown(), printed: unknown() }
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(dir: &Path, flags: &[&str]) -> Self {
        let mut process = Self::spawn(dir, flags, None);
        let Some(printed) = process.stdout.next_line().await.unwrap() else {
            panic!("it ended: {}", process.ended().await.1)
        };
        let ready: Value = serde_json::from_str(&printed).unwrap();
        let said = |key: &str| ready[key].as_str().unwrap().to_owned();
        let token = std::fs::read_to_string(dir.join("data/admin-token")).unwrap();
        Self {
            api: said("api"),
            grpc: said("grpc"),
            admin_token: token.trim().to_owned(),
            printed,
            ..process
        }
    }

    pub(crate) fn signal(&mut self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; everything it printed.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let mut stderr = self.child.stderr.take().unwrap();
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).await.unwrap();
        while let Some(line) = self.stdout.next_line().await.unwrap() {
            self.printed.push_str(&line);
        }
        (self.child.wait().await.unwrap(), self.printed + &rest)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.get_text(path).await).unwrap()
    }

    /// The body of an answer to the administrator. One request, one connection.
    pub(crate) async fn get_text(&self, path: &str) -> String {
        let mut answer = String::new();
        self.open(path).await.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }

    /// Asks as the administrator; the answer, head and all, is still to be read.
    pub(crate) async fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.api).await.unwrap();
        let (api, token) = (&self.api, &self.admin_token);
        let request = format!("GET {path} HTTP/1.0\r\nhost: {api}\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}
