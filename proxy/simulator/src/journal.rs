//! What was received and how it ended, for tests to read. Never steers an answer.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// It runs.
    #[default]
    Open,
    /// The whole answer was handed to the socket.
    Complete,
    /// The client went away first, or reset the stream.
    ClientLeft,
    /// A fault cut it.
    Broken,
}

/// One request and its answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts from 1, over the simulator's life.
    pub n: u64,
    /// The credential, as sent.
    pub account: String,
    /// Its method.
    pub method: String,
    /// The path without the provider's prefix.
    pub path: String,
    /// What follows `?`, without it.
    pub query: Option<String>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// Names and values as received, repeated lines included.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body received.
    pub body_length: usize,
    /// Their SHA-256, in hex.
    pub body_sha256: String,
    /// Whether the body arrived whole.
    pub body_complete: bool,
    /// The model asked for.
    pub model: Option<String>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// When the head arrived.
    pub received_at: Timestamp,
    /// When the head of the answer was ready.
    pub answered_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// The status answered; `None` while there is none.
    pub status: Option<u16>,
    /// The request id answered.
    pub request_id: Option<String>,
    /// The fault or limit that shaped the answer.
    pub cause: Option<&'static str>,
    /// Bytes of the answer's body handed to the socket.
    pub sent_bytes: usize,
    /// Events handed to the socket, or 1 for a whole body.
    pub sent_frames: usize,
    /// How it ended.
    pub ending: Ending,
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<(Entry, Bytes)>,
    body_bytes: usize,
    most_entries: usize,
    most_body_bytes: usize,
    last: u64,
    dropped: u64,
}

/// The pen for one entry. If it is dropped before an ending is written, the client has left.
#[derive(Debug)]
pub(crate) struct Pen {
    kept: Arc<Mutex<Kept>>,
    n: u64,
    ended: bool,
}

impl Journal {
    /// An empty journal that keeps this much.
    pub(crate) fn new(most_entries: usize, most_body_bytes: usize) -> Self {
        let kept = Kept { most_entries: most_entries.max(1), most_body_bytes, ..Kept::default() };
        Self { kept: Arc::new(Mutex::new(kept)) }
    }

    /// Opens an entry.
    pub(crate) fn open(&self, head: &Parts, path: &str, account: &str, now: Timestamp) -> Pen {
        let mut kept = self.kept.lock();
        kept.last += 1;
        let n = kept.last;
        let entry = Entry {
            n,
            account: account.to_owned(),
            method: head.method.to_string(),
            path: path.to_owned(),
            query: head.uri.query().map(ToOwned::to_owned),
            protocol: format!("{:?}", head.version),
            headers: lines(&head.headers),
            body_length: 0,
            body_sha256: String::new(),
            body_complete: false,
            model: None,
            stream: false,
            received_at: now,
            answered_at: None,
            finished_at: None,
            status: None,
            request_id: None,
            cause: None,
            sent_bytes: 0,
            sent_frames: 0,
            ending: Ending::Open,
        };
        kept.entries.push_back((entry, Bytes::new()));
        kept.trim();
        Pen { kept: Arc::clone(&self.kept), n, ended: false }
    }

    /// The entries that pass, oldest first.
    pub fn entries(&self, pass: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.kept.lock().entries.iter().map(|(entry, _)| entry).filter(|entry| pass(entry)).cloned().collect()
    }

    /// The body of request `n`, as received.
    pub fn body(&self, n: u64) -> Option<Bytes> {
        let mut kept = self.kept.lock();
        kept.find(n).map(|(_, body)| body.clone())
    }

    /// Entries that had to leave for want of room.
    pub fn dropped(&self) -> u64 {
        self.kept.lock().dropped
    }

    /// Forgets all; numbers go on.
    pub fn clear(&self) {
        let mut kept = self.kept.lock();
        kept.entries.clear();
        (kept.body_bytes, kept.dropped) = (0, 0);
    }
}

impl Kept {
    fn find(&mut self, n: u64) -> Option<&mut (Entry, Bytes)> {
        let first = self.entries.front()?.0.n;
        self.entries.get_mut(usize::try_from(n.checked_sub(first)?).ok()?)
    }

    fn trim(&mut self) {
        while self.entries.len() > self.most_entries || self.body_bytes > self.most_body_bytes {
            let Some((_, body)) = self.entries.pop_front() else { return };
            self.body_bytes -= body.len();
            self.dropped += 1;
        }
    }
}

impl Pen {
    /// Writes into the entry, if it is still kept.
    pub(crate) fn write(&self, write: impl FnOnce(&mut Entry)) {
        if let Some((entry, _)) = self.kept.lock().find(self.n) {
            write(entry);
        }
    }

    /// Writes down the body.
    pub(crate) fn body(&self, body: &Bytes, complete: bool) {
        let digest = hex::encode(Sha256::digest(body));
        let mut kept = self.kept.lock();
        let Some((entry, kept_body)) = kept.find(self.n) else { return };
        (entry.body_length, entry.body_sha256, entry.body_complete) = (body.len(), digest, complete);
        *kept_body = body.clone();
        kept.body_bytes += body.len();
        kept.trim();
    }

    /// Writes down the end.
    pub(crate) fn end(&mut self, ending: Ending) {
        if !self.ended {
            self.ended = true;
            self.write(|entry| (entry.ending, entry.finished_at) = (ending, Some(Timestamp::now())));
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.end(Ending::ClientLeft);
    }
}

fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Parts {
        http::Request::post("/v1/messages?beta=true").body(()).unwrap().into_parts().0
    }

    fn open(journal: &Journal) -> Pen {
        journal.open(&head(), "/v1/messages", "sk-one", Timestamp::now())
    }

    #[test]
    fn an_exchange_nobody_ends_was_left_by_the_client() {
        let journal = Journal::new(10, 1000);
        let mut ended = open(&journal);
        ended.end(Ending::Complete);
        drop(ended);
        drop(open(&journal));
        let endings: Vec<_> = journal.entries(|_| true).iter().map(|entry| entry.ending).collect();
        assert_eq!(endings, [Ending::Complete, Ending::ClientLeft]);
    }

    #[test]
    fn the_oldest_leave_when_entries_or_bodies_are_too_many() {
        let journal = Journal::new(3, 10);
        let pens: Vec<_> = (0..4).map(|_| open(&journal)).collect();
        assert_eq!(journal.dropped(), 1);
        pens[1].body(&Bytes::from_static(b"12345678"), true);
        pens[3].body(&Bytes::from_static(b"123"), true);
        assert_eq!(journal.body(2), None);
        assert_eq!(journal.body(4), Some(Bytes::from_static(b"123")));
        assert_eq!(journal.entries(|_| true).len(), 2);
    }
}
