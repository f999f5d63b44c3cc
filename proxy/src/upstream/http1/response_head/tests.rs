use proptest::prelude::*;

use super::*;

fn parsed(wire: &[u8]) -> Result<Option<Head>, ProtocolError> {
    take(&mut BytesMut::from(wire), false)
}

fn head(lines: &str) -> Result<Head, ProtocolError> {
    parsed(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes()).map(|head| head.expect("complete"))
}

#[test]
fn end_to_end_fields_pass_in_order_and_connection_fields_do_not() {
    let head = head(
        "Set-Cookie: a=1\r\nset-cookie: b=2\r\nKeep-Alive: timeout=5\r\nconnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
         content-length: 3\r\nrequest-id: ✓\r\n",
    )
    .expect("valid");
    let cookies: Vec<_> = head.response.headers.get_all("set-cookie").collect();
    assert_eq!(cookies, [b"a=1", b"b=2"]);
    assert_eq!(head.response.headers.text("content-length"), Some("3"));
    assert_eq!(head.response.headers.len(), 4);
    assert!(head.keep_alive && matches!(head.framing, Framing::Length(3)));
}

#[test]
fn heads_that_two_readers_could_understand_differently_are_refused() {
    use ProtocolError::{ConflictingFraming, ContentLength, MalformedHead, TransferEncoding};
    let refused = [
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n", ConflictingFraming),
        ("content-length: 5\r\ncontent-length: 6\r\n", ContentLength),
        ("content-length: 5\r\ncontent-length: 5\r\n", ContentLength),
        ("content-length: 5, 5\r\n", ContentLength),
        ("content-length: +5\r\n", ContentLength),
        ("content-length: -1\r\n", ContentLength),
        ("content-length: 0x5\r\n", ContentLength),
        ("content-length: \r\n", ContentLength),
        ("content-length: 99999999999999999999\r\n", ContentLength),
        ("transfer-encoding: gzip, chunked\r\n", TransferEncoding),
        ("transfer-encoding: chunked, chunked\r\n", TransferEncoding),
        ("transfer-encoding: identity\r\n", TransferEncoding),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", TransferEncoding),
        ("x-a: 1\r\n folded\r\n", MalformedHead),
        ("content-length : 5\r\n", MalformedHead),
        ("no colon\r\n", MalformedHead),
        ("x-a: a\0b\r\n", MalformedHead),
        (": empty\r\n", MalformedHead),
    ];
    for (lines, why) in refused {
        assert_eq!(head(lines).err(), Some(why), "{lines:?}");
    }
}

#[test]
fn a_chunked_http10_response_is_refused_and_a_plain_one_ends_with_the_connection() {
    let chunked = parsed(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(chunked.err(), Some(ProtocolError::TransferEncoding));
    let plain =
        parsed(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n").expect("valid").expect("complete");
    assert!(matches!(plain.framing, Framing::UntilClose) && !plain.keep_alive);
}

#[test]
fn interim_responses_are_skipped_but_a_protocol_switch_is_refused() {
    let wire =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 429 No\r\n\r\n";
    let head = parsed(wire).expect("valid").expect("complete");
    assert_eq!(head.response.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(head.response.headers.is_empty());
    let switch = parsed(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(switch.err(), Some(ProtocolError::Switch));
}

#[test]
fn responses_without_a_body_keep_the_connection_whatever_their_fields_say() {
    for status in ["204 No Content", "304 Not Modified"] {
        let wire = format!("HTTP/1.1 {status}\r\ncontent-length: 10\r\n\r\n");
        let head = parsed(wire.as_bytes()).expect("valid").expect("complete");
        assert!(head.framing.is_done() && head.keep_alive, "{status}");
    }
    let mut answer_to_head = BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
    let head = take(&mut answer_to_head, true).expect("valid").expect("complete");
    assert!(head.framing.is_done());
    assert_eq!(head.response.headers.text("content-length"), Some("10"));
}

#[test]
fn oversize_heads_are_refused_complete_or_not() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD));
    assert_eq!(parsed(long.as_bytes()).err(), Some(ProtocolError::HeadTooLarge));
    assert_eq!(parsed(format!("{long}\r\n\r\n").as_bytes()).err(), Some(ProtocolError::HeadTooLarge));
    assert_eq!(head(&"a: b\r\n".repeat(MAX_HEADERS + 1)).err(), Some(ProtocolError::HeadTooLarge));
}

#[test]
fn statuses_that_do_not_exist_are_refused() {
    for wire in [
        &b"HTTP/1.1 000 x\r\n\r\n"[..],
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\x15\x03\x01\r\n\r\n",
    ] {
        assert_eq!(parsed(wire).err(), Some(ProtocolError::MalformedHead));
    }
}

/// A whole head as httparse reads it, which many others read with.
fn read_by_httparse(wire: &[u8]) -> Result<Option<Head>, ProtocolError> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(wire) {
        Ok(httparse::Status::Complete(length)) if length == wire.len() => {}
        _ => return Err(ProtocolError::MalformedHead),
    }
    let code = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = code.ok_or(ProtocolError::MalformedHead)?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ProtocolError::Switch);
    }
    if status.is_informational() {
        return Ok(None);
    }
    let mut headers = Headers::default();
    for line in &*response.headers {
        headers.append(line.name, line.value);
    }
    let fields = Fields::read(&headers)?;
    fields.into_head(ResponseHead { status, headers }, response.version == Some(0), false).map(Some)
}

/// All that was read, or why it was not.
fn shown(head: Result<Option<Head>, ProtocolError>) -> String {
    let values =
        |head: &Head| head.response.headers.iter().map(|line| line.value().to_vec()).collect::<Vec<_>>();
    format!("{:?}", head.map(|head| head.map(|head| (values(&head), head))))
}

proptest! {
    #[test]
    fn heads_are_accepted_refused_and_read_as_by_httparse(
        version in "HTTP/1[.][0-2]",
        first in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(vec![" ", "200", "100", "101", "OK", "\t", "\r", "\0", "\u{7f}", "\u{e9}", "99"])
                .prop_map(|piece| piece.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ], 0..6),
        usual in any::<bool>(),
        lines in prop::collection::vec(prop_oneof![
            4 => "[A-Za-z-]{1,9}: ?[ -~]{0,20}\r?\n".prop_map(String::into_bytes),
            1 => "(content-length: [0-9]|transfer-encoding: chunked|connection: a)\r\n".prop_map(String::into_bytes),
            1 => prop::collection::vec(prop_oneof![
                Just(b'\r'), Just(b'\n'), Just(b':'), b' '..=b'~', any::<u8>(),
            ], 0..9),
        ], 0..5),
    ) {
        let first = if usual { b" 200 OK".to_vec() } else { first.concat() };
        let wire = [version.as_bytes(), &first, b"\r\n", &lines.concat(), b"\r\n"].concat();
        prop_assert_eq!(shown(parse(&wire, false)), shown(read_by_httparse(&wire)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(wire in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parsed(&wire);
        let _ = parsed(&[b"HTTP/1.1 200 OK\r\n", &wire[..], b"\r\n\r\n"].concat());
    }

    #[test]
    fn a_head_is_the_same_however_it_arrives(cut in 1usize..58) {
        let wire = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: 17\r\n\r\nok";
        let mut buf = BytesMut::from(&wire[..cut]);
        let early = take(&mut buf, false).expect("valid");
        let head = early.or_else(|| {
            buf.extend_from_slice(&wire[cut..]);
            take(&mut buf, false).expect("valid")
        });
        let headers = head.expect("complete").response.headers;
        prop_assert_eq!(headers.text("x-request-id"), Some("17"));
    }
}
