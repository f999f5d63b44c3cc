use proptest::prelude::*;

use super::*;

/// The head of a whole text, and what follows it; as a connection reads it that gets `cuts` bytes at a time.
fn read(text: &[u8], cuts: &[usize]) -> Result<Option<(Head, Vec<u8>)>, BadHead> {
    let (mut scanned, mut received) = (0, Vec::new());
    let (mut rest, mut cuts) = (text, cuts.iter().copied().chain(std::iter::repeat(usize::MAX)));
    while !rest.is_empty() {
        let (now, later) = rest.split_at(cuts.next().unwrap_or(1).clamp(1, rest.len()));
        received.extend_from_slice(now);
        rest = later;
        if let Some(end) = end(&received, &mut scanned)? {
            let head = parse(&Bytes::copy_from_slice(&received[..end]))?;
            return Ok(Some((head, [&received[end..], rest].concat())));
        }
    }
    Ok(None)
}

fn bad(text: &str) -> Option<BadHead> {
    read(text.as_bytes(), &[]).err()
}

fn good(lines: &str) -> Head {
    let text = format!("POST /v1/messages?beta=true HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
    read(text.as_bytes(), &[]).expect("strict").expect("complete").0
}

#[test]
fn a_head_says_what_is_asked_and_how_the_body_ends() {
    let head = good("X-Twice: 1\r\nx-twice:2 \r\nContent-Length: 5\r\n");
    assert_eq!((head.request.method, head.request.uri.path()), (Method::POST, "/v1/messages"));
    assert_eq!((head.request.uri.query(), head.request.version), (Some("beta=true"), Version::HTTP_11));
    let twice: Vec<_> = head.request.headers.get_all("x-twice").collect();
    assert_eq!(twice, [b"1", b"2"]);
    assert!(matches!(head.framing, Framing::Length(5)) && head.keep_alive && !head.expects_continue);
    assert!(matches!(good("transfer-encoding: Chunked\r\n").framing, Framing::Chunked(_)));
    assert!(good("").framing.is_done());
    assert!(matches!(good("content-length: 5\r\ncontent-length: 5\r\n").framing, Framing::Length(5)));
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    use BadHead::{Framing, Malformed};
    for (lines, why) in [
        ("content-length: 4\r\ntransfer-encoding: chunked\r\n", Framing),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n", Framing),
        ("content-length: 5\r\ncontent-length: 6\r\n", Framing),
        ("content-length: 5, 5\r\n", Framing),
        ("content-length: +5\r\n", Framing),
        ("content-length: 0x5\r\n", Framing),
        ("content-length:\r\n", Framing),
        ("content-length: 99999999999999999999\r\n", Framing),
        ("transfer-encoding: gzip, chunked\r\n", Framing),
        ("transfer-encoding: chunked, identity\r\n", Framing),
        ("transfer-encoding: xchunked\r\n", Framing),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Framing),
        ("transfer-encoding:\x0bchunked\r\n", Malformed),
        ("content-length : 5\r\n", Malformed),
        ("content-length\t: 5\r\n", Malformed),
        (" content-length: 5\r\n", Malformed),
        ("x: a\r\n b\r\n", Malformed),
        ("x: a\n", Malformed),
        ("x: a\ncontent-length: 5\r\n", Malformed),
        ("x: a\rcontent-length: 5\r\n", Malformed),
        ("x: a\0b\r\n", Malformed),
        ("host: y\r\n", Malformed),
        ("no colon\r\n", Malformed),
        (": no name\r\n", Malformed),
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        assert_eq!(bad(&text), Some(why), "{lines:?}");
    }
    assert_eq!(bad("GET / HTTP/1.1\r\n\r\n"), Some(Malformed), "HTTP/1.1 without a host");
    assert_eq!(bad("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"), Some(Framing));
}

#[test]
fn what_is_no_request_is_refused_before_its_end() {
    assert_eq!(bad("GET / HTTP/3.0\r\n"), Some(BadHead::Version));
    assert_eq!(bad("\x16\x03\x01\x02"), Some(BadHead::Malformed));
    assert_eq!(bad("G\0T"), Some(BadHead::Malformed));
    assert_eq!(bad(&format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(MAX_HEAD))), Some(BadHead::TooLarge));
    let many = "x: 1\r\n".repeat(MAX_HEADER_LINES);
    assert_eq!(bad(&format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n")), Some(BadHead::TooLarge));
    assert_eq!(bad("GET / HTTP/1.1\r\nhost: x\r\nx: 1\r\n"), None);
}

#[test]
fn a_connection_is_kept_as_the_version_and_the_client_say() {
    let keeps = |version: &str, lines: &str| {
        let text = format!("GET / HTTP/{version}\r\nhost: x\r\n{lines}\r\n");
        read(text.as_bytes(), &[]).expect("strict").expect("complete").0.keep_alive
    };
    assert!(keeps("1.1", "") && !keeps("1.0", ""));
    assert!(keeps("1.0", "connection: Keep-Alive\r\n") && !keeps("1.1", "connection: x, Close\r\n"));
    assert!(!keeps("1.1", "connection: close\r\nconnection: keep-alive\r\n"));
}

#[test]
fn only_a_body_that_is_to_come_is_asked_for() {
    let expects = "expect: 100-Continue\r\n";
    assert!(good(&format!("{expects}content-length: 5\r\n")).expects_continue);
    assert!(good(&format!("{expects}transfer-encoding: chunked\r\n")).expects_continue);
    assert!(!good(&format!("{expects}content-length: 0\r\n")).expects_continue);
    assert!(!good("content-length: 5\r\n").expects_continue);
}

/// A whole head as httparse reads it, which many others read with.
fn read_by_httparse(wire: &Bytes) -> Result<Head, BadHead> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADER_LINES];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(wire)? {
        httparse::Status::Complete(length) if length == wire.len() => {}
        _ => return Err(BadHead::Malformed),
    }
    let (method, target) = (request.method.expect("complete"), request.path.expect("complete"));
    let mut headers = Headers::default();
    for line in &*request.headers {
        headers.append(line.name, line.value);
    }
    let version = if request.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let uri = Uri::try_from(target).map_err(|_| BadHead::Malformed)?;
    let method = Method::from_bytes(method.as_bytes()).expect("a token");
    Fields::read(&headers)?.into_head(RequestHead { method, uri, version, headers })
}

/// All that was read, or why it was not.
fn shown(head: Result<Head, BadHead>) -> String {
    let values =
        |head: &Head| head.request.headers.iter().map(|line| line.value().to_vec()).collect::<Vec<_>>();
    format!("{:?}", head.map(|head| (values(&head), head)))
}

fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("content-length".to_owned()),
        Just("Transfer-Encoding".to_owned()),
        Just("connection".to_owned()),
        "[a-zA-Z-]{1,12}",
    ];
    let value =
        prop_oneof![Just("chunked".to_owned()), Just("close".to_owned()), "[0-9]{1,3}", "[ -~]{0,20}"];
    (name, value).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_reads_alike(
        lines in prop::collection::vec(line(), 0..12),
        rest in "[ -~]{0,30}",
        cuts in prop::collection::vec(1usize..40, 0..40),
    ) {
        let text = format!("POST / HTTP/1.1\r\nhost: x\r\n{}\r\n{rest}", lines.concat());
        let shown = |cuts: &[usize]| format!("{:?}", read(text.as_bytes(), cuts));
        prop_assert_eq!(shown(&[]), shown(&cuts));
    }

    #[test]
    fn heads_are_accepted_refused_and_read_as_by_httparse(
        first in prop::collection::vec(prop_oneof![
            6 => prop::sample::select(vec![
                "GET", "POST", "x-y", "/", "/a?b=c", "*", "http://h/p", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.",
                "\t", "\r", "\0", "(", "\u{7f}", "\u{e9}", "#",
            ]).prop_map(|piece| piece.as_bytes().to_vec()),
            5 => Just(b" ".to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ], 0..9),
        usual in any::<bool>(),
        empty in 0usize..3,
        lines in prop::collection::vec(prop_oneof![
            4 => line().prop_map(String::into_bytes),
            1 => prop::collection::vec(prop_oneof![
                Just(b'\r'), Just(b'\n'), Just(b':'), b' '..=b'~', any::<u8>(),
            ], 0..9).prop_map(|line| [&*line, b"\r\n"].concat()),
        ], 0..5),
    ) {
        let first = if usual { b"GET /a HTTP/1.1".to_vec() } else { first.concat() };
        let empty = "\r\n".repeat(empty);
        let wire = [empty.as_bytes(), &first, b"\r\nhost: x\r\n", &lines.concat(), b"\r\n"].concat();
        let mut scanned = 0;
        if let Ok(Some(length)) = end(&wire, &mut scanned) {
            let wire = Bytes::copy_from_slice(&wire[..length]);
            // A lone line feed ends a line for httparse.
            let is_lone = |at: usize| wire[at] == b'\n' && (at == 0 || wire[at - 1] != b'\r');
            if (0..length).any(is_lone) {
                prop_assert!(parse(&wire).is_err());
            } else {
                prop_assert_eq!(shown(parse(&wire)), shown(read_by_httparse(&wire)));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_a_head_holds_no_lone_line_feed(
        bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), b' '..=b'~', any::<u8>()], 0..80),
        cuts in prop::collection::vec(1usize..9, 0..30),
    ) {
        let text = [b"GET / HTTP/1.1\r\nhost: x\r\n", &*bytes, b"\r\n\r\n"].concat();
        if let Ok(Some((head, rest))) = read(&text, &cuts) {
            let read = &text[..text.len() - rest.len()];
            prop_assert!(read.iter().enumerate().all(|(at, byte)| *byte != b'\n' || read[at - 1] == b'\r'));
            prop_assert!(head.request.headers.iter().all(|line| !line.value().contains(&b'\n')));
        }
    }
}
