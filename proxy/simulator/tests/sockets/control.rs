//! The control interface, TLS, and the program itself.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use http::Method;
use penstock_simulator::Config;
use serde_json::json;

use crate::client::Bench;

async fn control(bench: &Bench, method: Method, path: &str, body: &str) -> (u16, Vec<u8>) {
    let headers = [("content-type", "application/json")];
    let answer = bench.send(method, &format!("/_control{path}"), &headers, body).await.unwrap();
    (answer.status, answer.body)
}

async fn look(bench: &Bench, path: &str) -> serde_json::Value {
    serde_json::from_slice(&control(bench, Method::GET, path, "").await.1).unwrap()
}

#[tokio::test]
async fn the_journal_keeps_headers_and_bytes() {
    let bench = Bench::start(Config::default()).await;
    let body = "{\"model\" : \"m\",\"input\":\"h\\u00e9\"}";
    let headers = [("authorization", "Bearer sk-one"), ("x-twice", "1"), ("x-twice", "2")];
    bench.send(Method::POST, "/openai/v1/responses?a=b", &headers, body).await.unwrap();
    let seen = &look(&bench, "/requests?account=sk-one&path=responses").await["requests"][0];
    assert_eq!((seen["path"].as_str(), seen["query"].as_str()), (Some("/v1/responses"), Some("a=b")));
    assert_eq!((seen["ending"].as_str(), seen["status"].as_u64()), (Some("complete"), Some(200)));
    assert_eq!(seen["bodyLength"], body.len());
    let twice = |value: &str| json!(["x-twice", value]);
    let lines = seen["headers"].as_array().unwrap();
    assert!(lines.contains(&twice("1")) && lines.contains(&twice("2")));
    assert_eq!(control(&bench, Method::GET, "/bodies/1", "").await, (200, body.as_bytes().to_vec()));
    assert_eq!(look(&bench, "/accounts").await["accounts"]["sk-one"]["requests"], 1);
    assert_eq!(control(&bench, Method::DELETE, "/requests", "").await.0, 204);
    assert_eq!(look(&bench, "/requests").await["requests"], json!([]));
}

#[tokio::test]
async fn faults_and_limits_are_set_over_http() {
    let bench = Bench::start(Config::default()).await;
    let (status, body) =
        control(&bench, Method::POST, "/faults", r#"{"kind":"billing","account":"sk-one"}"#).await;
    assert_eq!((status, body), (201, br#"{"id":1}"#.to_vec()));
    assert_eq!(bench.message("sk-one", false).await.unwrap().status, 402);
    assert_eq!(look(&bench, "/faults").await["faults"][0]["struck"], 1);
    assert_eq!(control(&bench, Method::DELETE, "/faults/1", "").await.0, 204);
    assert_eq!(control(&bench, Method::POST, "/faults", r#"{"kind":"bill"}"#).await.0, 400);
    let limits = r#"{"fiveHour":{"requests":0}}"#;
    assert_eq!(control(&bench, Method::PUT, "/accounts/sk-one/limits", limits).await.0, 204);
    assert_eq!(bench.message("sk-one", false).await.unwrap().status, 429);
    assert_eq!(control(&bench, Method::PATCH, "/behaviour", r#"{"events":20}"#).await.0, 200);
    assert_eq!(bench.message("sk-two", true).await.unwrap().events().len(), 20);
    assert_eq!(control(&bench, Method::POST, "/reset", "").await.0, 204);
    assert_eq!(control(&bench, Method::GET, "/", "").await.0, 200);
}

#[tokio::test]
async fn known_keys_only_when_keys_are_named() {
    let bench = Bench::start(Config { keys: vec!["sk-one".into()], ..Config::default() }).await;
    assert_eq!(bench.message("sk-one", false).await.unwrap().status, 200);
    assert_eq!(bench.message("sk-two", false).await.unwrap().status, 401);
}

#[test]
fn the_program_says_where_it_listens_and_writes_its_ca() {
    let ca = std::env::temp_dir().join(format!("penstock-simulator-{}.pem", std::process::id()));
    let mut program = Command::new(env!("CARGO_BIN_EXE_penstock-simulator"))
        .args(["--tls", "--ca-out"])
        .arg(&ca)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(said["listen"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(said["control"].as_str().unwrap().ends_with("/_control"));
    assert!(std::fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    std::fs::remove_file(&ca).unwrap();
}
