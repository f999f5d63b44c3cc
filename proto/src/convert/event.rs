//! History events.

use prost::Message;
use uuid::Uuid;

use super::account::{read_dialect, write_dialect};
use super::{ConvertError, Reason, each, id, micros, optional_id, optional_micros};
use crate::event::{Attempt, Caller, Ending, Event};
use crate::usage::{Usage, UsageSource};
use crate::wire;

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
    /// The contract's message, to be kept by a program of any version.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::Event::from(self).encode_to_vec()
    }

    /// Reads what [`Event::to_bytes`] wrote, also that of an older or a newer program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ConvertError> {
        let wire = wire::Event::decode(bytes);
        wire.map_err(|_| ConvertError::new("event", Reason::Malformed))?.try_into()
    }
}

impl From<&Event> for wire::Event {
    fn from(event: &Event) -> Self {
        let name =
            |id: &Option<crate::ids::ObjectId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            id: event.id.into_bytes().to_vec(),
            received_at_us: event.received_at.as_microsecond(),
            first_byte_at_us: event.first_byte_at.map_or(0, jiff::Timestamp::as_microsecond),
            finished_at_us: event.finished_at.as_microsecond(),
            caller: Some(write_caller(&event.caller)),
            method: event.method.clone(),
            path: event.path.clone(),
            dialect: event.dialect.map_or(wire::Dialect::Unspecified, write_dialect).into(),
            account: name(&event.account),
            provider: event.provider.clone(),
            model_asked: event.model_asked.clone(),
            model_sent: event.model_sent.clone(),
            model_answered: event.model_answered.clone(),
            session: event.session.clone(),
            status: u32::from(event.status),
            ending: write_ending(event.ending).into(),
            attempts: event.attempts.iter().map(write_attempt).collect(),
            usage: Some(write_usage(event.usage)),
            usage_source: write_usage_source(event.usage_source).into(),
            trace_id: event.trace_id.clone(),
            warnings: event.warnings.clone(),
            stream: event.stream,
            pool: name(&event.pool),
            error: event.error.clone(),
            request_bytes: event.request_bytes,
            response_bytes: event.response_bytes,
        }
    }
}

impl wire::EventBatch {
    /// The events as they travel, in pieces of at most `max_bytes` (or one event that is larger alone). A piece is
    /// made when it is asked for: as messages, events take more room than they had before.
    pub fn cut(events: &[Event], max_bytes: usize) -> impl Iterator<Item = Vec<wire::Event>> {
        let mut events = events.iter().map(wire::Event::from).peekable();
        std::iter::from_fn(move || {
            let first = events.next()?;
            let mut room = max_bytes.saturating_sub(super::size(&first));
            let mut piece = vec![first];
            while let Some(event) = events.next_if(|event| super::size(event) <= room) {
                room -= super::size(&event);
                piece.push(event);
            }
            Some(piece)
        })
    }
}

fn status(field: &str, wire: u32) -> Result<u16, ConvertError> {
    u16::try_from(wire).map_err(|_| ConvertError::new(field, Reason::OutOfRange))
}

fn read_caller(wire: wire::Caller) -> Caller {
    let wire::Caller { namespace, pod, service_account, key } = wire;
    Caller { namespace, pod, service_account, key }
}

fn write_caller(caller: &Caller) -> wire::Caller {
    let Caller { namespace, pod, service_account, key } = caller.clone();
    wire::Caller { namespace, pod, service_account, key }
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

fn write_attempt(attempt: &Attempt) -> wire::Attempt {
    let Attempt { account, outcome, status, duration_ms, model } = attempt;
    wire::Attempt {
        account: account.to_string(),
        outcome: outcome.clone(),
        status: u32::from(*status),
        duration_ms: i64::try_from(*duration_ms).unwrap_or(i64::MAX),
        model: model.clone(),
    }
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

fn write_usage(usage: Usage) -> wire::Usage {
    let Usage {
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        output_tokens,
        reasoning_tokens,
    } = usage;
    wire::Usage {
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        output_tokens,
        reasoning_tokens,
    }
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
