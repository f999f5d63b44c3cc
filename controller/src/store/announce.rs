//! Tells the other controllers on the same database which requests were just stored, and hears of theirs,
//! so that a live view of one shows what all of them store.
//!
//! For views only. An announcement is made after the commit, and may be lost with its connection; what it
//! is about is in the history all the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::Either;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, future, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{AsyncMessage, Client, Connection};
use uuid::Uuid;

use super::error::StoreError;
use super::row::RequestRow;
use super::{Store, postgres};

/// The channel's name in the database.
const CHANNEL: &str = "penstock_stored";

/// Ids of one announcement: 22 letters each, and Postgres takes less than 8,000 bytes. More than that at
/// once is more than a view can show.
pub const NAMED: usize = 300;

/// What a controller stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Which controller; it hears its own announcements too.
    pub from: Uuid,
    /// The rows that are new, at most [`NAMED`].
    pub ids: Vec<Uuid>,
    /// How many more there were.
    pub more: u64,
}

/// What others announce, as it comes. Ends with its connection.
pub struct Announcements {
    messages: BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>,
    /// The connection lives as long as this does.
    _client: Client,
}

impl Announcement {
    /// What `from` stored, cut to what can be named.
    pub fn of(from: Uuid, ids: impl IntoIterator<Item = Uuid>) -> Self {
        let mut ids = ids.into_iter();
        let named = ids.by_ref().take(NAMED).collect();
        Self { from, ids: named, more: ids.count() as u64 }
    }

    fn encode(&self) -> String {
        let ids = self.ids.iter().map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes()));
        format!("{} {} {}", self.from.simple(), self.more, ids.collect::<String>())
    }

    /// `None` for what another version says in its own way.
    fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let from = Uuid::try_parse(words.next()?).ok()?;
        let more = words.next()?.parse().ok()?;
        let id = |letters: &[u8]| Uuid::from_slice(&URL_SAFE_NO_PAD.decode(letters).ok()?).ok();
        let ids = words.next()?.as_bytes().chunks(22).map(id).collect::<Option<_>>()?;
        Some(Self { from, ids, more })
    }
}

impl Announcements {
    /// The next one; `None` when the connection is gone.
    pub async fn next(&mut self) -> Option<Announcement> {
        loop {
            // Anything else on this connection is a notice for people.
            if let AsyncMessage::Notification(said) = self.messages.next().await?.ok()?
                && let Some(announcement) = Announcement::decode(said.payload())
            {
                return Some(announcement);
            }
        }
    }
}

impl Store {
    /// Tells the others.
    pub async fn announce(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let (step, said) = ("announce what was stored", announcement.encode());
        let told = self.writer().await?.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &said]).await;
        told.map(drop).map_err(StoreError::at(step))
    }

    /// Hears what is announced from now on, over a connection of its own.
    pub async fn announcements(&self) -> Result<Announcements, StoreError> {
        let step = "listen to what is stored";
        let (client, mut messages) = match postgres::connect(&self.target).await? {
            Either::Left((client, connection)) => (client, messages(connection)),
            Either::Right((client, connection)) => (client, messages(connection)),
        };
        let listen = format!("LISTEN {CHANNEL}");
        let mut listening = Box::pin(client.batch_execute(&listen));
        // The connection works only while its messages are asked for, and until it listens there are none
        // that matter.
        loop {
            match future::select(&mut listening, messages.next()).await {
                Either::Left((listens, _)) => {
                    listens.map_err(StoreError::at(step))?;
                    break;
                }
                Either::Right((Some(Ok(_)), _)) => {}
                Either::Right((Some(Err(source)), _)) => return Err(StoreError::Query { step, source }),
                Either::Right((None, _)) => listening.as_mut().await.map_err(StoreError::at(step))?,
            }
        }
        drop(listening);
        Ok(Announcements { messages, _client: client })
    }

    /// These requests, as far as they are in the history, the oldest first.
    pub async fn requests_by_id(&self, ids: &[Uuid]) -> Result<Vec<RequestRow>, StoreError> {
        let step = "read what was announced";
        let columns = RequestRow::COLUMNS;
        let sql = format!("SELECT {columns} FROM requests WHERE id = ANY($1) ORDER BY id");
        let rows = self.client().await?.query(&sql, &[&ids]).await.map_err(StoreError::at(step))?;
        rows.iter().map(RequestRow::read).collect::<Result<_, _>>().map_err(StoreError::at(step))
    }
}

fn messages<S, T>(
    mut connection: Connection<S, T>,
) -> BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    stream::poll_fn(move |context| connection.poll_message(context)).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_survives_its_text_and_fits_what_postgres_takes() {
        for count in [0, 1, 299, 300, 5_000] {
            let ids = std::iter::repeat_with(Uuid::now_v7).take(count);
            let said = Announcement::of(Uuid::max(), ids);
            assert_eq!(said.ids.len() + usize::try_from(said.more).unwrap(), count);
            let text = said.encode();
            assert!(text.len() < 8_000, "{}", text.len());
            assert_eq!(Announcement::decode(&text), Some(said));
        }
    }

    #[test]
    fn what_another_version_says_is_passed_over() {
        for text in ["", "x", "0 0", "00000000000000000000000000000000 0 short"] {
            assert_eq!(Announcement::decode(text), None, "{text:?}");
        }
    }
}
