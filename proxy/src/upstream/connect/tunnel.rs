//! Asks an egress proxy for a tunnel (CONNECT).

use std::mem::MaybeUninit;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::upstream::error::UpstreamError;
use crate::upstream::target::EgressProxy;

/// A proxy's answer to CONNECT; a refusal may carry a page, of which only the head is read.
const MAX_ANSWER: usize = 8 * 1024;

/// Turns a connection to the proxy into one to `authority` (`host:port`).
pub(crate) async fn open(
    stream: &mut TcpStream,
    proxy: &EgressProxy,
    authority: &str,
) -> Result<(), UpstreamError> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request.push_str("proxy-authorization: ");
        request.push_str(authorization.expose());
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(UpstreamError::Connect)?;

    let mut answer = Vec::with_capacity(512);
    while answer.len() < MAX_ANSWER {
        if stream.read_buf(&mut answer).await.map_err(UpstreamError::Connect)? == 0 {
            break;
        }
        if let Some((status, length)) = parse(&answer)? {
            // In a tunnel the server speaks second: bytes behind the head would not come from it.
            let opened = (200..300).contains(&status) && length == answer.len();
            return if opened { Ok(()) } else { Err(UpstreamError::Tunnel { status: Some(status) }) };
        }
    }
    Err(UpstreamError::Tunnel { status: None })
}

/// Status and length of a whole head.
fn parse(answer: &[u8]) -> Result<Option<(u16, usize)>, UpstreamError> {
    let mut lines = [const { MaybeUninit::uninit() }; 64];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, answer, &mut lines) {
        Ok(httparse::Status::Complete(length)) => Ok(response.code.map(|code| (code, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(UpstreamError::Tunnel { status: None }),
    }
}
