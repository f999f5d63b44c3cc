//! One connection to the controller, to any of its addresses. What proves either end to the other is read
//! anew for each, because both rotate; a file that is not there yet is a reason to try again.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use penstock_proto::wire::control_client::ControlClient;
use rand::seq::SliceRandom;
use rustls::RootCertStore;
use tokio::net::{TcpStream, lookup_host};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tower::service_fn;

use super::LinkError;
use crate::config::ControllerConfig;
use crate::dial::first_to_answer;

/// For name resolution, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A controller that answers neither a ping nor anything else is given up after the sum of both: 9 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// A push is cut at about 1 MiB by the controller; one resource alone may be larger.
const LARGEST_PUSH: usize = 16 << 20;

pub(super) type Client = ControlClient<InterceptedService<Channel, Bearer>>;

/// Puts the token on every call.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Certificates and token are read for every connection, because both rotate.
pub(super) async fn dial(config: &ControllerConfig) -> Result<Client, LinkError> {
    let tls = match &config.ca_file {
        Some(path) => ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("the certificate authority", path).await?)),
        None => ClientTlsConfig::new().trust_anchors(platform_roots()),
    };
    let token = match &config.token_file {
        Some(path) => Some(bearer(path, &read("the token", path).await?)?),
        None => None,
    };
    let channel = Endpoint::from_shared(config.url.clone())
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(LinkError::Connect)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(service_fn(any_address))
        .await
        .map_err(LinkError::Connect)?;
    let client = ControlClient::with_interceptor(channel, Bearer(token));
    Ok(client.max_decoding_message_size(LARGEST_PUSH))
}

async fn read(what: &'static str, path: &PathBuf) -> Result<String, LinkError> {
    tokio::fs::read_to_string(path).await.map_err(|source| LinkError::File {
        what,
        path: path.clone(),
        source,
    })
}

fn bearer(path: &std::path::Path, token: &str) -> Result<MetadataValue<Ascii>, LinkError> {
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", token.trim()).parse().map_err(|_| LinkError::Token { path: path.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn platform_roots() -> Vec<rustls::pki_types::TrustAnchor<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.roots
}

/// Connects to an address that answers, tried in an order of chance: where a name has one for each replica, proxies
/// spread over them. A replica that has just gone may have one, too, at which nobody answers.
async fn any_address(uri: Uri) -> io::Result<TokioIo<TcpStream>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let mut addresses: Vec<_> = lookup_host((host, uri.port_u16().unwrap_or(443))).await?.collect();
    addresses.shuffle(&mut rand::rng());
    let stream = first_to_answer(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::with_sources;

    #[test]
    fn a_token_with_a_line_break_inside_is_refused_without_being_repeated() {
        let error = bearer("token".as_ref(), "sk-a\nsk-b").unwrap_err();
        assert!(!with_sources(&error).contains("sk-"), "{error}");
        assert!(bearer("token".as_ref(), "sk-a\n").is_ok());
    }
}
