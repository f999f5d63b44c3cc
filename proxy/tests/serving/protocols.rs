//! HTTP/2 and TLS on the workloads' listener.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use penstock_proto::event::Ending;
use penstock_proxy::config::TlsFiles;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::support::*;

/// An HTTP/2 client on a connection, and the task that drives it.
async fn http2<S>(stream: S) -> (SendRequest<Full<Bytes>>, JoinSet<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    let mut driving = JoinSet::new();
    driving.spawn(async { drop(connection.await) });
    (sender, driving)
}

fn ask(proxy: &Proxy, body: &'static str) -> http::Request<Full<Bytes>> {
    http::Request::post(format!("http://{}/v1/messages", proxy.listen))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

#[tokio::test]
async fn http_2_by_prior_knowledge_is_served_on_the_same_port() {
    let mut provider = Provider::always(|| json(200, MESSAGE)).await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let (mut sender, _driving) = http2(TcpStream::connect(proxy.listen).await.unwrap()).await;
    let response = sender.send_request(ask(&proxy, ASK)).await.unwrap();
    assert_eq!((response.status(), response.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), MESSAGE);
    assert_eq!(provider.request().await.body, ASK.as_bytes());
    assert_eq!(proxy.event().await.ending, Ending::Complete);
}

#[tokio::test]
async fn one_http_2_client_that_leaves_one_stream_keeps_the_others() {
    let mut provider = Provider::start(|seen| match seen.values("x-which")[0] {
        "left" => vec![chunked(), chunk(START), chunk(TEXT), Do::WaitForClose],
        _ => json(200, MESSAGE),
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let (mut sender, _driving) = http2(TcpStream::connect(proxy.listen).await.unwrap()).await;
    let mut left = ask(&proxy, ASK_STREAM);
    left.headers_mut().insert("x-which", "left".parse().unwrap());
    let mut body = sender.send_request(left).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().unwrap().data_ref().is_some());
    drop(body);
    provider.request().await.gone.unwrap().await.expect("the provider's connection is closed");
    assert_eq!(proxy.event().await.ending, Ending::ClientLeft);
    let mut stays = ask(&proxy, ASK);
    stays.headers_mut().insert("x-which", "stays".parse().unwrap());
    assert_eq!(sender.send_request(stays).await.unwrap().status(), 200);
}

#[tokio::test]
async fn half_an_answer_resets_its_http_2_stream() {
    let provider = Provider::always(|| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            MESSAGE.len()
        );
        vec![Do::Send([head.as_bytes(), &MESSAGE.as_bytes()[..40]].concat()), Do::Close]
    })
    .await;
    let proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let (mut sender, _driving) = http2(TcpStream::connect(proxy.listen).await.unwrap()).await;
    let failed = match sender.send_request(ask(&proxy, ASK)).await {
        Ok(response) => response.into_body().collect().await.is_err(),
        Err(_) => true,
    };
    assert!(failed, "the client must see that the answer is not whole");
    assert_eq!(proxy.event().await.ending, Ending::Truncated);
}

#[tokio::test]
async fn tls_is_served_and_offers_http_2() {
    let dir = tempfile::TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let proxy = Proxy::start_with(accounts, pool, move |config| config.tls = Some(files)).await;

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(proxy.listen).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, _driving) = http2(stream).await;
    let response = sender.send_request(ask(&proxy, ASK)).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), MESSAGE);
}
