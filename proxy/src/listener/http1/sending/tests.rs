use std::future::poll_fn;

use http::{StatusCode, Version};
use penstock_proxy_core::headers::Headers;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::listener::stalled::Stalled;

const HEAD: &str = "HTTP/1.1 200 OK\r\ndate: today\r\n";

async fn pair() -> (ClientIo, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    (ClientIo::Plain(Stalled::new(near, std::time::Duration::from_secs(60))), far)
}

fn response(status: StatusCode, body: Answer) -> Response<Answer> {
    let headers = [("date", "today")].into_iter().collect::<Headers>();
    Response { head: ResponseHead { status, headers }, body }
}

fn sending(body: Option<Bytes>, bodiless: bool) -> Sending {
    Sending::new(
        response(StatusCode::OK, Answer::Own(body)),
        Asked { version: Version::HTTP_11, bodiless, keep_alive: true },
    )
}

async fn sent(mut sending: Sending) -> String {
    let (near, mut far) = pair().await;
    let wire = Mutex::new(Wire::new(near));
    let send = async move { poll_fn(|cx| sending.poll(&wire, cx)).await };
    let mut text = String::new();
    let (sent, read) = tokio::join!(send, far.read_to_string(&mut text));
    sent.unwrap();
    read.unwrap();
    text
}

#[tokio::test]
async fn head_and_body_are_sent_whole_however_large() {
    assert_eq!(
        sent(sending(Some(Bytes::from_static(b"hi")), false)).await,
        format!("{HEAD}content-length: 2\r\n\r\nhi")
    );
    // More than a socket takes at once.
    let large = "x".repeat(8 << 20);
    let text = sent(sending(Some(Bytes::from(large.clone())), false)).await;
    assert!(text == format!("{HEAD}content-length: {}\r\n\r\n{large}", large.len()));
}

#[tokio::test]
async fn an_answer_without_a_body_is_a_head() {
    assert_eq!(sent(sending(None, false)).await, format!("{HEAD}content-length: 0\r\n\r\n"));
    assert_eq!(sent(sending(None, true)).await, format!("{HEAD}\r\n"));
    let empty = response(StatusCode::NO_CONTENT, Answer::Own(None));
    let asked = Asked { version: Version::HTTP_11, bodiless: false, keep_alive: true };
    let text = sent(Sending::new(empty, asked)).await;
    assert_eq!(text, "HTTP/1.1 204 No Content\r\ndate: today\r\n\r\n");
}

#[test]
fn a_chunk_s_size_is_written_as_hexadecimal_digits() {
    for size in [1, 9, 10, 15, 16, 255, 256, 4095, 65_536, 0x1234_5678] {
        let mut line = Vec::new();
        put_size(&mut line, size);
        assert_eq!(line, format!("{size:x}\r\n").as_bytes());
    }
}

#[test]
fn pieces_become_chunks_and_the_end_goes_with_the_last() {
    let framed = |pieces: &[usize]| {
        let mut sending = sending(None, false);
        (sending.framing, sending.ended) = (BodyFraming::Chunked, false);
        let mut burst = Burst::default();
        for length in pieces {
            sending.put(Bytes::from(vec![b'x'; *length]), &mut burst);
        }
        sending.end(&mut burst);
        let text = [&burst.before, &*burst.large, burst.after].concat();
        String::from_utf8(text).unwrap()
    };
    assert_eq!(framed(&[1, 2, 0, 3]), "1\r\nx\r\n2\r\nxx\r\n3\r\nxxx\r\n0\r\n\r\n");
    let large = "x".repeat(SMALL + 1);
    assert_eq!(framed(&[1, SMALL + 1]), format!("1\r\nx\r\n{:x}\r\n{large}\r\n0\r\n\r\n", SMALL + 1));
}

#[test]
fn a_body_that_is_not_as_long_as_announced_breaks_the_answer() {
    for pieces in [&[3, 3][..], &[3]] {
        let mut sending = sending(None, false);
        (sending.framing, sending.ended) = (BodyFraming::Length(5), false);
        let mut burst = Burst::default();
        for length in pieces {
            sending.put(Bytes::from(vec![b'x'; *length]), &mut burst);
        }
        sending.end(&mut burst);
        assert!(matches!(sending.broken, Some(SendError::Length)), "{pieces:?}");
    }
}
