//! History in files while the controller is away: append-only segments, read in order, bounded in
//! total. Survives the end of the process. Never holds events in memory.
//!
//! A record is its length (4 bytes, little endian), the CRC-32 of its payload (4 bytes) and the
//! payload: a byte that says how it is written, and the event as the contract writes it, which is not read here. A
//! record that was cut off by a crash ends its segment. Nothing is made durable while requests run except at the end of a segment: a killed process loses nothing (the pages are the
//! kernel's), a machine that loses power loses what it had not written back yet.
//!
//! What was read is forgotten only when it was stored. The position inside a segment is kept in memory
//! only: after a restart a segment is sent again from its start, and the ids make that harmless.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tracing::warn;

mod record;

use record::{Records, write_record};

/// A segment is closed at this size, bytes: small enough to be dropped or read again without notice,
/// large enough that a full spool is 32 files.
const SEGMENT_BYTES: u64 = 8 << 20;

/// The files of one folder.
pub struct Spool {
    dir: PathBuf,
    limit: u64,
    /// Complete and current segments, the oldest first.
    segments: VecDeque<Segment>,
    writer: Option<BufWriter<File>>,
    next: u64,
    /// Bytes of the oldest segment that were stored.
    stored: u64,
    dropped: u64,
}

/// How far a batch reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    segment: u64,
    offset: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    bytes: u64,
}

impl Spool {
    /// Opens a folder, made if needed, and finds the segments an earlier process left.
    pub fn open(dir: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(number_of);
            if let Some(number) = number {
                segments.push(Segment { number, bytes: entry.metadata()?.len() });
            }
        }
        segments.sort_unstable_by_key(|segment| segment.number);
        let next = segments.last().map_or(0, |segment| segment.number + 1);
        let segments = segments.into();
        Ok(Self { dir: dir.to_owned(), limit, segments, writer: None, next, stored: 0, dropped: 0 })
    }

    /// Appends events; on failure none of them counts as written.
    pub fn append<'a>(&mut self, events: impl IntoIterator<Item = &'a Bytes>) -> io::Result<()> {
        let result = self.write(events);
        if result.is_err() {
            // What was half written ends that segment; reading stops at the damage.
            self.writer = None;
        }
        self.drop_oldest();
        result
    }

    /// The oldest events that are not stored yet, up to `max`, and how far they reach.
    pub fn read(&mut self, max: usize) -> io::Result<Option<(Vec<Bytes>, Position)>> {
        while let Some(segment) = self.segments.front().copied() {
            let records = Records::read(&self.path(segment.number), self.stored, max)?;
            if records.damaged {
                warn!(segment = segment.number, "a damaged record ends this spool segment");
            }
            if !records.events.is_empty() {
                let position = Position { segment: segment.number, offset: records.end };
                return Ok(Some((records.events, position)));
            }
            self.remove_oldest();
        }
        Ok(None)
    }

    /// Forgets everything up to a position that [`Spool::read`] gave.
    pub fn forget(&mut self, position: &Position) {
        let Some(segment) = self.segments.front().filter(|held| held.number == position.segment) else {
            return;
        };
        self.stored = position.offset;
        if position.offset >= segment.bytes {
            self.remove_oldest();
        }
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.writer.as_ref().map_or(Ok(()), |writer| writer.get_ref().sync_data())
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum::<u64>().saturating_sub(self.stored)
    }

    /// Events dropped since the start because the files were full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn write<'a>(&mut self, events: impl IntoIterator<Item = &'a Bytes>) -> io::Result<()> {
        for event in events {
            if self.writer.is_none() || self.segments.back().is_none_or(|last| last.bytes >= SEGMENT_BYTES) {
                self.begin_segment()?;
            }
            if let (Some(writer), Some(last)) = (self.writer.as_mut(), self.segments.back_mut()) {
                last.bytes += write_record(writer, event)?;
            }
        }
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        if let Some(mut full) = self.writer.take() {
            full.flush()?;
            full.get_ref().sync_data()?;
        }
        let number = self.next;
        let file = File::options().write(true).create_new(true).open(self.path(number))?;
        self.next += 1;
        self.writer = Some(BufWriter::new(file));
        self.segments.push_back(Segment { number, bytes: 0 });
        Ok(())
    }

    fn drop_oldest(&mut self) {
        while self.segments.len() > 1 && self.bytes() > self.limit {
            let Some(oldest) = self.segments.front() else { return };
            let lost = Records::count(&self.path(oldest.number), self.stored);
            warn!(events = lost, "the spool is full: the oldest segment is dropped");
            self.dropped += lost;
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        let Some(segment) = self.segments.pop_front() else { return };
        if self.segments.is_empty() {
            self.writer = None;
        }
        self.stored = 0;
        if let Err(error) = fs::remove_file(self.path(segment.number)) {
            warn!(segment = segment.number, %error, "a spool segment could not be removed");
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("events-{number:020}.spool"))
    }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("events-")?.strip_suffix(".spool")?.parse().ok()
}

#[cfg(test)]
mod tests;
