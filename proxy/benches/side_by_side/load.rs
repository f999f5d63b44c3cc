//! Many connections at once: as fast as they go, at a steady rate, or open and idle.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::client::Connection;

/// Idle streams that are being opened at once: below any listener's backlog.
const OPENING: usize = 256;

/// Connections that a steady rate begins with.
const READY: usize = 4;

/// What is sent where, and what comes back.
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    /// Taken by turns.
    pub(crate) requests: &'a [Bytes],
    pub(crate) answer: &'a [u8],
}

/// Connections that have carried a request each, so that nothing is opened while it is measured.
pub(crate) struct Fleet<'a> {
    load: Load<'a>,
    connections: Vec<Connection>,
}

/// What came of a steady rate.
pub(crate) struct Steady {
    /// Requests sent, those included that only opened connections.
    pub(crate) asked: u64,
    /// How long each took, shortest first.
    pub(crate) taken: Vec<Duration>,
}

/// What a fleet did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) answers: u64,
    pub(crate) taken: Duration,
}

impl<'a> Load<'a> {
    fn request(&self, number: usize) -> &'a Bytes {
        &self.requests[number % self.requests.len()]
    }

    /// One connection that has carried a request.
    async fn connection(&self, number: usize) -> anyhow::Result<Connection> {
        let mut connection = Connection::open(self.address).await?;
        connection.expect(self.request(number), self.answer).await?;
        Ok(connection)
    }

    /// Requests at a steady rate, whatever becomes of those before.
    pub(crate) async fn steady(&self, per_second: u32, time: Duration) -> anyhow::Result<Steady> {
        let mut idle = Fleet::new(self.again(), READY).await?.connections;
        let mut asked = READY as u64;
        let mut taken = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
        let end = Instant::now() + time;
        for number in 0.. {
            loop {
                tokio::select! {
                    biased;
                    _ = tick.tick() => break,
                    Some(done) = running.next() => {
                        let (connection, time) = done?;
                        idle.push(connection);
                        taken.push(time);
                    }
                }
            }
            if Instant::now() > end {
                break;
            }
            let connection = idle.pop();
            asked += if connection.is_some() { 1 } else { 2 };
            running.push(async move {
                let mut connection = match connection {
                    Some(connection) => connection,
                    None => self.connection(number).await?,
                };
                let start = Instant::now();
                connection.expect(self.request(number), self.answer).await?;
                anyhow::Ok((connection, start.elapsed()))
            });
        }
        let last: Vec<_> = running.try_collect().await?;
        taken.extend(last.into_iter().map(|(_, time)| time));
        taken.sort_unstable();
        Ok(Steady { asked, taken })
    }

    /// Streams that have begun and go on for as long as they are held.
    pub(crate) async fn held(&self, count: usize) -> anyhow::Result<Vec<Connection>> {
        let opening = futures_util::stream::iter(0..count).map(|number| async move {
            let mut connection = Connection::open(self.address).await?;
            connection.send(self.request(number)).await?;
            anyhow::Ok(connection)
        });
        let mut streams: Vec<_> = opening.buffer_unordered(OPENING).try_collect().await?;
        let begun: FuturesUnordered<_> =
            streams.iter_mut().map(|stream| stream.await_text(self.answer)).collect();
        begun.try_collect::<()>().await?;
        Ok(streams)
    }

    fn again(&self) -> Load<'a> {
        Load { ..*self }
    }
}

impl<'a> Fleet<'a> {
    pub(crate) async fn new(load: Load<'a>, count: usize) -> anyhow::Result<Self> {
        let opening: FuturesUnordered<_> = (0..count).map(|number| load.connection(number)).collect();
        let connections = opening.try_collect().await?;
        Ok(Self { load, connections })
    }

    /// One request after the other on every connection, for this long.
    pub(crate) async fn run(&mut self, time: Duration) -> anyhow::Result<Done> {
        let (start, load) = (Instant::now(), &self.load);
        let end = start + time;
        let running: FuturesUnordered<_> = self
            .connections
            .iter_mut()
            .enumerate()
            .map(|(number, connection)| async move {
                let mut answers = 0;
                while Instant::now() < end {
                    connection.expect(load.request(number), load.answer).await?;
                    answers += 1;
                }
                anyhow::Ok(answers)
            })
            .collect();
        let answers = running.try_fold(0, |sum, answers| async move { Ok(sum + answers) }).await?;
        Ok(Done { answers, taken: start.elapsed() })
    }
}
