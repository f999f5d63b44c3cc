//! The only place that reads and writes the generated types.
//!
//! Reading is tolerant where a newer peer may know more, and strict where a value makes no sense:
//!
//! | unknown to this program | read as |
//! |---|---|
//! | a field | not there |
//! | a resource kind | refused by name, everything else of the update goes on |
//! | a dialect of an account | skipped: the account serves the formats that both know |
//! | a dialect of an event | none |
//! | a credential scheme | the account is refused: its credential could not be presented |
//! | the algorithm of an issuer's key | skipped: tokens signed with it are refused |
//! | a strategy | the default, `SessionAffinity` |
//! | the reason of a cooldown | `Throttled`, so that the account is left alone until the cooldown's end |
//! | the reason of a lift | skipped: what it ends is not known, so everything else stays in force |
//! | a window's status | `Unknown` |
//! | an ending | `Error` |
//! | a usage source | `Estimated` |
//!
//! A [`ConvertError`] names the field and the reason and never repeats a value: it may be a secret.

use jiff::Timestamp;

use crate::ids::ObjectId;

mod account;
mod event;
mod fields;
mod issuer;
mod limits;
mod observation;
mod peer;
mod pool;
mod resource;

pub use resource::version;

/// A message that makes no sense, by field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ConvertError {
    /// Path of the field, e.g. `account.model_map[2].glob`.
    pub field: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is empty or absent.
    #[error("is missing")]
    Missing,
    /// It is not a name of an object.
    #[error("is not namespace/name")]
    NotAName,
    /// A number, instant or duration beyond what it can be.
    #[error("is out of range")]
    OutOfRange,
    /// Text of another form than the field has.
    #[error("is malformed")]
    Malformed,
    /// It says something that this version of the program does not know.
    #[error("is not known to this version")]
    Unknown,
    /// The body of a resource is of another kind than its name says.
    #[error("does not fit the kind of the resource")]
    WrongKind,
}

impl ConvertError {
    fn new(field: impl Into<String>, reason: Reason) -> Self {
        Self { field: field.into(), reason }
    }

    /// The same, seen from the message around it.
    fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), reason: self.reason }
    }
}

fn required(field: &str, value: String) -> Result<String, ConvertError> {
    if value.is_empty() { Err(ConvertError::new(field, Reason::Missing)) } else { Ok(value) }
}

fn optional(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

fn id(field: &str, raw: &str) -> Result<ObjectId, ConvertError> {
    raw.parse().map_err(|_| ConvertError::new(field, Reason::NotAName))
}

fn optional_id(field: &str, raw: &str) -> Result<Option<ObjectId>, ConvertError> {
    if raw.is_empty() { Ok(None) } else { id(field, raw).map(Some) }
}

fn micros(field: &str, value: i64) -> Result<Timestamp, ConvertError> {
    Timestamp::from_microsecond(value).map_err(|_| ConvertError::new(field, Reason::OutOfRange))
}

fn optional_micros(field: &str, value: i64) -> Result<Option<Timestamp>, ConvertError> {
    if value == 0 { Ok(None) } else { micros(field, value).map(Some) }
}

fn optional_millis(field: &str, value: i64) -> Result<Option<Timestamp>, ConvertError> {
    if value == 0 {
        return Ok(None);
    }
    Timestamp::from_millisecond(value).map(Some).map_err(|_| ConvertError::new(field, Reason::OutOfRange))
}

/// Reads each entry; an error says which.
fn each<W, T>(
    field: &str,
    wire: Vec<W>,
    read: impl Fn(W) -> Result<T, ConvertError>,
) -> Result<Vec<T>, ConvertError> {
    wire.into_iter()
        .enumerate()
        .map(|(at, one)| read(one).map_err(|error| error.within(&format!("{field}[{at}]"))))
        .collect()
}

/// Appends to the last piece if there is room in it, else to a new one.
fn put<M: prost::Message>(pieces: &mut Vec<Vec<M>>, room: &mut usize, max_bytes: usize, message: M) {
    let size = size(&message);
    match pieces.last_mut() {
        Some(last) if size <= *room => {
            *room -= size;
            last.push(message);
        }
        _ => {
            *room = max_bytes.saturating_sub(size);
            pieces.push(vec![message]);
        }
    }
}

/// What a message takes within another one: its tag and length are up to eleven bytes.
fn size(message: &impl prost::Message) -> usize {
    message.encoded_len() + 11
}
