//! One record of a spool file: length, checksum, version, event as the contract writes it, so that a program
//! of another version reads it. Reading never fails on damage, it stops there.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use flate2::Crc;

/// Above this a length is damage and not an event: the largest event is a few KiB.
const MAX_RECORD: u32 = 1 << 20;

/// How a payload is written: its first byte.
const VERSION: u8 = 1;

/// Bytes before the payload.
const HEADER: u64 = 8;

/// What was read from one segment.
pub(super) struct Records {
    /// The events, in order.
    pub events: Vec<Bytes>,
    /// Where the next record begins; behind the end of the file when the rest is damaged.
    pub end: u64,
    /// Whether reading stopped at a record that is not whole.
    pub damaged: bool,
}

/// Writes one event; its size in the file, bytes.
pub(super) fn write_record(out: &mut impl Write, event: &[u8]) -> io::Result<u64> {
    let payload = [&[VERSION], event].concat();
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&checksum(&payload).to_le_bytes())?;
    out.write_all(&payload)?;
    Ok(HEADER + u64::from(length))
}

impl Records {
    /// Reads up to `max` events from `offset` on.
    pub(super) fn read(path: &Path, offset: u64, max: usize) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        file.seek(SeekFrom::Start(offset))?;
        let mut records = Self { events: Vec::new(), end: offset, damaged: false };
        while records.events.len() < max {
            match next(&mut file)? {
                Next::Event(event, size) => {
                    records.events.push(event);
                    records.end += size;
                }
                Next::End => break,
                Next::Damage => {
                    (records.damaged, records.end) = (true, u64::MAX);
                    break;
                }
            }
        }
        Ok(records)
    }

    /// How many events are in a segment from `offset` on; as many as can be read.
    pub(super) fn count(path: &Path, offset: u64) -> u64 {
        Self::read(path, offset, usize::MAX).map_or(0, |records| records.events.len() as u64)
    }
}

enum Next {
    Event(Bytes, u64),
    End,
    Damage,
}

fn next(file: &mut impl Read) -> io::Result<Next> {
    let (mut length, mut sum) = ([0; 4], [0; 4]);
    if read_full(file, &mut length)? == 0 {
        return Ok(Next::End);
    }
    read_full(file, &mut sum)?;
    // Half a header gives a length or a sum that the payload does not fit to.
    let (length, sum) = (u32::from_le_bytes(length), u32::from_le_bytes(sum));
    if length > MAX_RECORD {
        return Ok(Next::Damage);
    }
    let mut payload = vec![0; length as usize];
    if payload.is_empty() || read_full(file, &mut payload)? < payload.len() || checksum(&payload) != sum {
        return Ok(Next::Damage);
    }
    // A record that is written in a way of the future is damage too, and so is all that follows it: a segment
    // is of one program.
    if payload[0] != VERSION {
        return Ok(Next::Damage);
    }
    Ok(Next::Event(Bytes::from(payload).slice(1..), HEADER + u64::from(length)))
}

/// Fills `buffer` as far as the file goes.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn checksum(payload: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(payload);
    crc.sum()
}
