//! History events. They are written field by field, because every request has one: making the generated message
//! first, and letting go of it, costs several times as much as writing. They are read by it.

use prost::Message;
use prost::bytes::Bytes;
use uuid::Uuid;

use super::account::{read_dialect, write_dialect};
use super::fields::Fields;
use super::{ConvertError, Reason, each, id, micros, optional_id, optional_micros};
use crate::event::{Attempt, Caller, Ending, Event};
use crate::ids::ObjectId;
use crate::usage::{Usage, UsageSource};
use crate::wire;

/// What is around an event in its batch: the field's key and a length of up to five bytes. The batch's id is not counted.
const AROUND: usize = 6;

impl TryFrom<wire::Event> for Event {
    type Error = ConvertError;

    fn try_from(wire: wire::Event) -> Result<Self, ConvertError> {
        Ok(Self {
            id: Uuid::from_slice(&wire.id).map_err(|_| ConvertError::new("id", Reason::Malformed))?,
            received_at: micros("received_at_us", wire.received_at_us)?,
            first_byte_at: optional_micros("first_byte_at_us", wire.first_byte_at_us)?,
            finished_at: micros("finished_at_us", wire.finished_at_us)?,
            caller: read_caller(wire.caller.unwrap_or_default()),
            method: wire.method,
            path: wire.path,
            dialect: read_dialect(wire.dialect),
            pool: optional_id("pool", &wire.pool)?,
            account: optional_id("account", &wire.account)?,
            provider: wire.provider,
            model_asked: wire.model_asked,
            model_sent: wire.model_sent,
            model_answered: wire.model_answered,
            session: wire.session,
            status: status("status", wire.status)?,
            ending: read_ending(wire.ending),
            stream: wire.stream,
            attempts: each("attempts", wire.attempts, read_attempt)?,
            usage: read_usage(wire.usage.unwrap_or_default()),
            usage_source: read_usage_source(wire.usage_source),
            trace_id: wire.trace_id,
            warnings: wire.warnings,
            error: wire.error,
            request_bytes: wire.request_bytes,
            response_bytes: wire.response_bytes,
        })
    }
}

impl Event {
    /// Appends the contract's message, to be kept or sent by a program of any version.
    pub fn write(&self, out: &mut Vec<u8>) {
        let dialect = self.dialect.map_or(wire::Dialect::Unspecified, write_dialect);
        let mut to = Fields(out);
        to.bytes(1, self.id.as_bytes());
        to.signed(2, self.received_at.as_microsecond());
        to.signed(3, self.first_byte_at.map_or(0, jiff::Timestamp::as_microsecond));
        to.signed(4, self.finished_at.as_microsecond());
        to.message(5, |to| write_caller(&self.caller, to));
        to.text(6, &self.method);
        to.text(7, &self.path);
        to.choice(8, dialect.into());
        to.text(9, name_of(self.account.as_ref()));
        to.text(10, &self.provider);
        to.text(11, &self.model_asked);
        to.text(12, &self.model_sent);
        to.text(13, &self.model_answered);
        to.text(14, &self.session);
        to.number(15, self.status.into());
        to.choice(16, write_ending(self.ending).into());
        for attempt in &self.attempts {
            to.message(17, |to| write_attempt(attempt, to));
        }
        to.message(18, |to| write_usage(self.usage, to));
        to.choice(19, write_usage_source(self.usage_source).into());
        to.text(20, &self.trace_id);
        for warning in &self.warnings {
            to.bytes(21, warning.as_bytes());
        }
        to.number(22, self.stream.into());
        to.text(23, name_of(self.pool.as_ref()));
        to.text(24, &self.error);
        to.number(25, self.request_bytes);
        to.number(26, self.response_bytes);
    }

    /// What [`Event::write`] writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Reads what [`Event::write`] wrote, also that of an older or a newer program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ConvertError> {
        let wire = wire::Event::decode(bytes);
        wire.map_err(|_| ConvertError::new("event", Reason::Malformed))?.try_into()
    }
}

impl wire::EventBatch {
    /// Events, each as it was written, in pieces whose message takes at most `max_bytes` (or one event that is larger
    /// alone). Their bytes are not copied.
    pub fn cut(events: &[Bytes], max_bytes: usize) -> impl Iterator<Item = Vec<Bytes>> {
        let mut rest = events;
        std::iter::from_fn(move || {
            let mut room = max_bytes;
            let fits = |event: &&Bytes| {
                let left = room.checked_sub(event.len() + AROUND);
                room = left.unwrap_or(0);
                left.is_some()
            };
            let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
            let (piece, more) = rest.split_at(count);
            rest = more;
            (!piece.is_empty()).then(|| piece.to_vec())
        })
    }
}

fn name_of(id: Option<&ObjectId>) -> &str {
    id.map_or("", ObjectId::as_str)
}

fn status(field: &str, wire: u32) -> Result<u16, ConvertError> {
    u16::try_from(wire).map_err(|_| ConvertError::new(field, Reason::OutOfRange))
}

fn read_caller(wire: wire::Caller) -> Caller {
    let wire::Caller { namespace, pod, service_account, key } = wire;
    Caller { namespace, pod, service_account, key }
}

fn write_caller(caller: &Caller, to: &mut Fields<'_>) {
    let Caller { namespace, pod, service_account, key } = caller;
    to.text(1, namespace);
    to.text(2, pod);
    to.text(3, service_account);
    to.text(4, key);
}

fn read_attempt(wire: wire::Attempt) -> Result<Attempt, ConvertError> {
    Ok(Attempt {
        account: id("account", &wire.account)?,
        outcome: wire.outcome,
        status: status("status", wire.status)?,
        duration_ms: u64::try_from(wire.duration_ms)
            .map_err(|_| ConvertError::new("duration_ms", Reason::OutOfRange))?,
        model: wire.model,
    })
}

fn write_attempt(attempt: &Attempt, to: &mut Fields<'_>) {
    let Attempt { account, outcome, status, duration_ms, model } = attempt;
    to.text(1, account.as_str());
    to.text(2, outcome);
    to.number(3, (*status).into());
    to.signed(4, i64::try_from(*duration_ms).unwrap_or(i64::MAX));
    to.text(5, model);
}

fn read_usage(wire: wire::Usage) -> Usage {
    let wire::Usage {
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        output_tokens,
        reasoning_tokens,
    } = wire;
    Usage {
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        output_tokens,
        reasoning_tokens,
    }
}

fn write_usage(usage: Usage, to: &mut Fields<'_>) {
    let Usage {
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        output_tokens,
        reasoning_tokens,
    } = usage;
    to.number(1, input_tokens);
    to.number(2, cache_read_tokens);
    to.number(3, cache_write_5m_tokens);
    to.number(4, cache_write_1h_tokens);
    to.number(5, output_tokens);
    to.number(6, reasoning_tokens);
}

fn read_usage_source(wire: i32) -> UsageSource {
    match wire::UsageSource::try_from(wire) {
        Ok(wire::UsageSource::Unspecified) => UsageSource::None,
        Ok(wire::UsageSource::Reported) => UsageSource::Reported,
        // Of an unknown origin: there are numbers, and they are not known to be the provider's.
        Ok(wire::UsageSource::Estimated) | Err(_) => UsageSource::Estimated,
    }
}

fn write_usage_source(source: UsageSource) -> wire::UsageSource {
    match source {
        UsageSource::Reported => wire::UsageSource::Reported,
        UsageSource::Estimated => wire::UsageSource::Estimated,
        UsageSource::None => wire::UsageSource::Unspecified,
    }
}

fn read_ending(wire: i32) -> Ending {
    match wire::Ending::try_from(wire) {
        Ok(wire::Ending::Complete) => Ending::Complete,
        Ok(wire::Ending::Truncated) => Ending::Truncated,
        Ok(wire::Ending::ClientLeft) => Ending::ClientLeft,
        Ok(wire::Ending::Error | wire::Ending::Unspecified) | Err(_) => Ending::Error,
    }
}

fn write_ending(ending: Ending) -> wire::Ending {
    match ending {
        Ending::Complete => wire::Ending::Complete,
        Ending::Truncated => wire::Ending::Truncated,
        Ending::Error => wire::Ending::Error,
        Ending::ClientLeft => wire::Ending::ClientLeft,
    }
}
