//! Writes the head of an answer, and says how its body is framed.
//! Never passes on a framing field that came from elsewhere.

use std::cell::RefCell;

use http::{StatusCode, Version};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::head::{ResponseHead, put_length};

/// How the client finds the end of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// There is none, whatever the head says.
    None,
    /// So many bytes are still to be sent.
    Length(u64),
    Chunked,
    /// All until the connection ends: the client knows nothing better.
    UntilClose,
}

/// What the request says about how to answer it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) version: Version,
    /// The request was HEAD.
    pub(super) bodiless: bool,
    /// The client, and we, want to go on with this connection.
    pub(super) keep_alive: bool,
}

impl BodyFraming {
    /// `length`: the body's, if it is known.
    pub(super) fn of(status: StatusCode, length: Option<u64>, asked: Asked) -> Self {
        match length {
            _ if asked.bodiless
                || status.is_informational()
                || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) =>
            {
                Self::None
            }
            Some(length) => Self::Length(length),
            None if asked.version == Version::HTTP_11 => Self::Chunked,
            None => Self::UntilClose,
        }
    }

    /// Whether another request may follow on the connection.
    pub(super) fn leaves_open(self) -> bool {
        self != Self::UntilClose
    }
}

/// Appends a head, to the empty line.
pub(super) fn encode(out: &mut Vec<u8>, head: &ResponseHead, framing: BodyFraming, asked: Asked) {
    let ResponseHead { status, headers } = head;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let mut is_dated = false;
    headers.put(out, |name| match name {
        b"transfer-encoding" => false,
        // Of an answer without a body it says how long the body would be.
        b"content-length" => framing == BodyFraming::None && *status != StatusCode::NO_CONTENT,
        b"date" => {
            is_dated = true;
            true
        }
        _ => true,
    });
    if !is_dated {
        put_date(out);
    }
    match framing {
        BodyFraming::Length(length) => put_length(out, length),
        BodyFraming::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        BodyFraming::None | BodyFraming::UntilClose => {}
    }
    if !asked.keep_alive || !framing.leaves_open() {
        out.extend_from_slice(b"connection: close\r\n");
    } else if asked.version == Version::HTTP_10 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The date, put into words once a second.
fn put_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = Timestamp::now();
    DATE.with_borrow_mut(|(second, line)| {
        if *second != now.as_second() {
            // A clock beyond the year 9999 has no date.
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
            *line = date.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
            *second = now.as_second();
        }
        out.extend_from_slice(line.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use penstock_proxy_core::headers::Headers;

    use super::*;

    const ASKED: Asked = Asked { version: Version::HTTP_11, bodiless: false, keep_alive: true };

    fn head(
        status: u16,
        lines: &[(&'static str, &'static str)],
        length: Option<u64>,
        asked: Asked,
    ) -> String {
        let headers = [("date", "today")].into_iter().chain(lines.iter().copied()).collect();
        let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers };
        let mut out = Vec::new();
        encode(&mut out, &head, BodyFraming::of(head.status, length, asked), asked);
        String::from_utf8(out).unwrap().replace("date: today\r\n", "")
    }

    #[test]
    fn lines_pass_in_order_and_framing_is_ours() {
        let lines = [("x-a", "1"), ("content-length", "9"), ("transfer-encoding", "gzip"), ("x-a", "2")];
        assert_eq!(
            head(200, &lines, Some(5), ASKED),
            "HTTP/1.1 200 OK\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 5\r\n\r\n"
        );
        assert_eq!(
            head(200, &lines, None, ASKED),
            "HTTP/1.1 200 OK\r\nx-a: 1\r\nx-a: 2\r\ntransfer-encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_without_a_body_says_only_the_length_that_it_would_have() {
        let length = [("content-length", "9")];
        let to_head = Asked { bodiless: true, ..ASKED };
        assert_eq!(head(200, &length, Some(0), to_head), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
        assert_eq!(head(304, &length, None, ASKED), "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n");
        assert_eq!(head(204, &length, None, ASKED), "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(head(529, &[], Some(0), ASKED), "HTTP/1.1 529 \r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn an_old_client_is_told_what_it_would_not_expect() {
        let old = Asked { version: Version::HTTP_10, ..ASKED };
        assert_eq!(
            head(200, &[], Some(1), old),
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\n"
        );
        assert_eq!(head(200, &[], None, old), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        let last = Asked { keep_alive: false, ..ASKED };
        assert_eq!(
            head(200, &[], Some(1), last),
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_without_a_date_gets_one() {
        let mut out = Vec::new();
        let head = ResponseHead { status: StatusCode::OK, headers: Headers::default() };
        encode(&mut out, &head, BodyFraming::Length(0), ASKED);
        let text = String::from_utf8(out).unwrap();
        let date = text.split("\r\n").find_map(|line| line.strip_prefix("date: ")).unwrap();
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
}
