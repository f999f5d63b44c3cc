//! Writes a request head.
//! Never writes a framing field that came from elsewhere, nor a byte that could end the head early.

use bytes::Bytes;
use http::Method;
use penstock_proxy_core::headers::{Line, put_line};

use crate::head::put_length;
use crate::upstream::Target;
use crate::upstream::error::UpstreamError;
use crate::upstream::headers::is_ours_in_a_request;

/// How the body of a request is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// There is none and the method does not suggest one.
    None,
    Length(u64),
    Chunked,
}

/// The head of a request, to the empty line.
pub(crate) fn encode(
    target: &Target,
    method: &Method,
    path: &str,
    headers: &[Line<'_>],
    framing: BodyFraming,
) -> Result<Bytes, UpstreamError> {
    if !path.starts_with('/') || path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(UpstreamError::InvalidRequest);
    }
    let fields: usize = headers.iter().map(|line| line.name.len() + line.value.len() + 4).sum();
    let mut head = Vec::with_capacity(fields + target.prefix().len() + path.len() + 160);
    for part in
        [method.as_str(), " ", target.prefix(), path, " HTTP/1.1\r\nhost: ", target.authority().as_str()]
    {
        head.extend_from_slice(part.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    for Line { name, value, plain, .. } in headers {
        match plain {
            _ if is_ours_in_a_request(name) => {}
            Some(line) => head.extend_from_slice(line),
            None => put_line(&mut head, name, value),
        }
    }
    match framing {
        BodyFraming::None => {}
        BodyFraming::Length(length) => put_length(&mut head, length),
        BodyFraming::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    head.extend_from_slice(b"\r\n");
    Ok(head.into())
}

#[cfg(test)]
mod tests {
    use penstock_proto::snapshot::Egress;

    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url, &Egress::default()).expect("valid")
    }

    #[test]
    fn framing_and_connection_fields_are_ours_and_the_rest_passes() {
        let lines = [
            ("host", "evil"),
            ("content-length", "999"),
            ("transfer-encoding", "gzip, chunked"),
            ("connection", "close"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("x-a", "1"),
            ("x-a", "2"),
        ];
        let headers = lines.map(|(name, value)| Line::new(name.as_bytes(), value.as_bytes()));
        let target = target("https://api.example.com:8443/base/");
        let head =
            encode(&target, &Method::POST, "/v1/messages?beta=true", &headers, BodyFraming::Length(12));
        assert_eq!(
            head.expect("valid"),
            "POST /base/v1/messages?beta=true HTTP/1.1\r\nhost: api.example.com:8443\r\nx-a: 1\r\nx-a: 2\r\n\
             content-length: 12\r\n\r\n"
        );
    }

    #[test]
    fn a_path_that_would_end_the_line_is_refused() {
        let target = target("http://localhost");
        for path in ["", "v1", "/a b", "/a\r\nx: y", "/\u{7f}"] {
            let head = encode(&target, &Method::GET, path, &[], BodyFraming::None);
            assert!(matches!(head, Err(UpstreamError::InvalidRequest)), "{path:?}");
        }
    }
}
