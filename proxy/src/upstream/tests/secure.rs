//! TLS, and tunnels through an egress proxy.

use std::sync::Arc;

use penstock_proto::snapshot::Egress;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{HandshakeKind, ServerConfig};
use tokio::join;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::server::{Peer, Server, get, read, text, upstreams};
use crate::upstream::{Target, UpstreamError};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server's identity, and the bundle by which it is trusted.
pub(super) struct Identity {
    pub(super) acceptor: TlsAcceptor,
    pub(super) bundle: String,
}

pub(super) fn identity(alpn: &[&[u8]]) -> Identity {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .expect("a key that fits");
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Identity { acceptor: Arc::new(config).into(), bundle: issued.cert.pem() }
}

pub(super) fn secure_target(server: &Server, identity: &Identity) -> Target {
    let egress = Egress { proxy_url: None, ca_bundle_pem: Some(identity.bundle.clone()) };
    Target::parse(&format!("https://localhost:{}", server.port()), &egress).expect("valid")
}

async fn accept(server: &Server, identity: &Identity) -> Peer<TlsStream<TcpStream>> {
    let stream = server.accept().await.stream;
    Peer::new(identity.acceptor.accept(stream).await.expect("a handshake"))
}

#[tokio::test]
async fn connections_are_kept_and_sessions_are_resumed_over_tls() {
    let (server, upstreams, identity) = (Server::start().await, upstreams(), identity(&[b"http/1.1"]));
    let target = secure_target(&server, &identity);
    let script = async {
        let mut peer = accept(&server, &identity).await;
        peer.answer(OK).await;
        peer.answer(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{}", &OK[17..])).await;
        let mut peer = accept(&server, &identity).await;
        assert_eq!(peer.stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        peer.answer(OK).await;
    };
    let client = async {
        for _ in 0..3 {
            assert_eq!(text(get(&upstreams, &target).await).await, "ok");
        }
    };
    join!(script, client);
    assert_eq!(upstreams.counts().opened, 2);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (server, upstreams, identity) = (Server::start().await, upstreams(), identity(&[]));
    let target =
        Target::parse(&format!("https://localhost:{}", server.port()), &Egress::default()).expect("valid");
    let script = async {
        let stream = server.accept().await.stream;
        assert!(identity.acceptor.accept(stream).await.is_err());
    };
    let client = async { assert!(matches!(get(&upstreams, &target).await, Err(UpstreamError::Tls(_)))) };
    join!(script, client);
}

#[tokio::test]
async fn a_body_without_a_length_that_is_cut_off_under_tls_is_truncated() {
    let (server, upstreams, identity) = (Server::start().await, upstreams(), identity(&[]));
    let target = secure_target(&server, &identity);
    // Dropped without close_notify: anybody on the way could have done it.
    let script = async { accept(&server, &identity).await.answer("HTTP/1.1 200 OK\r\n\r\nabc").await };
    let client = async {
        let mut response = get(&upstreams, &target).await.expect("a response");
        assert!(matches!(read(&mut response.body).await, Err(UpstreamError::Truncated)));
    };
    join!(script, client);
}

#[tokio::test]
async fn a_tunnel_is_asked_for_with_the_proxys_credential_and_then_secured() {
    let (proxy, upstreams, identity) = (Server::start().await, upstreams(), identity(&[]));
    let egress = Egress {
        proxy_url: Some(format!("http://us%65r:pass@127.0.0.1:{}", proxy.port())),
        ca_bundle_pem: Some(identity.bundle.clone()),
    };
    let target = Target::parse("https://localhost/api", &egress).expect("valid");
    assert!(!format!("{target:?}").contains("pass"));
    let script = async {
        let mut peer = proxy.accept().await;
        let asked = peer.head().await;
        assert!(asked.starts_with("CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n"), "{asked}");
        assert!(asked.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{asked}");
        peer.send("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let mut server = Peer::new(identity.acceptor.accept(peer.stream).await.expect("a handshake"));
        let head = server.head().await;
        assert!(head.starts_with("GET /api/v1/messages HTTP/1.1\r\nhost: localhost\r\n"), "{head}");
        assert!(!head.contains("proxy-authorization"), "{head}");
        server.send(OK).await;
    };
    let client = async { assert_eq!(text(get(&upstreams, &target).await).await, "ok") };
    join!(script, client);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_the_cause() {
    let (proxy, upstreams) = (Server::start().await, upstreams());
    let egress = Egress { proxy_url: Some(proxy.url()), ca_bundle_pem: None };
    let target = Target::parse("http://[::1]:8080", &egress).expect("valid");
    let script = async {
        let mut peer = proxy.accept().await;
        assert!(peer.head().await.starts_with("CONNECT [::1]:8080 HTTP/1.1\r\n"));
        peer.send("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        proxy.accept().await.answer("220 smtp ready\r\n").await;
    };
    let client = async {
        let refused = get(&upstreams, &target).await;
        assert!(matches!(refused, Err(UpstreamError::Tunnel { status: Some(407) })));
        assert!(matches!(get(&upstreams, &target).await, Err(UpstreamError::Tunnel { status: None })));
    };
    join!(script, client);
}
