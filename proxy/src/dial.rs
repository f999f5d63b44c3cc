//! TCP to whichever of several addresses answers: one dead address is not waited for while another one lives
//! (RFC 8305, in short).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

/// When the next address is tried beside those that have not answered (RFC 8305 section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Connects to the first address that answers, tried in this order. The error is the last one of all.
pub(crate) async fn first_to_answer(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            trying.push(TcpStream::connect(address));
        } else if trying.is_empty() {
            return Err(last_error);
        }
        let pause = tokio::time::sleep(NEXT_ADDRESS_AFTER);
        tokio::select! {
            Some(result) = trying.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = error,
            },
            () = pause => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;

    /// Where connections are neither accepted nor refused, as at a pod that is gone: the queue of this listener is full.
    struct Deaf {
        socket: Socket,
        #[expect(dead_code, reason = "fills the queue")]
        queued: std::net::TcpStream,
    }

    impl Deaf {
        fn new() -> io::Result<Self> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
            socket.listen(0)?;
            let queued = std::net::TcpStream::connect(address(&socket)?)?;
            Ok(Self { socket, queued })
        }

        fn address(&self) -> SocketAddr {
            address(&self.socket).expect("bound")
        }
    }

    fn address(socket: &Socket) -> io::Result<SocketAddr> {
        socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    #[tokio::test]
    async fn an_address_that_never_answers_is_not_waited_for() {
        let (first, second) = (Deaf::new().expect("a port"), Deaf::new().expect("a port"));
        let alive = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let alive = alive.local_addr().expect("bound");
        let stream =
            first_to_answer(vec![first.address(), second.address(), alive]).await.expect("one answers");
        assert_eq!(stream.peer_addr().expect("connected"), alive);
    }

    #[tokio::test]
    async fn without_an_address_there_is_an_error() {
        let error = first_to_answer(Vec::new()).await.expect_err("nobody to call");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
