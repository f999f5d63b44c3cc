//! An event for tests.

use jiff::Timestamp;
use penstock_proto::event::{Caller, Ending, Event};
use penstock_proto::usage::{Usage, UsageSource};
use uuid::Uuid;

pub(crate) fn event(path: &str) -> Event {
    Event {
        id: Uuid::now_v7(),
        received_at: Timestamp::UNIX_EPOCH,
        first_byte_at: None,
        finished_at: Timestamp::UNIX_EPOCH,
        caller: Caller::default(),
        method: "POST".to_owned(),
        path: path.to_owned(),
        dialect: None,
        pool: None,
        account: None,
        provider: String::new(),
        model_asked: String::new(),
        model_sent: String::new(),
        model_answered: String::new(),
        session: String::new(),
        status: 200,
        ending: Ending::Complete,
        stream: false,
        attempts: Vec::new(),
        usage: Usage::default(),
        usage_source: UsageSource::None,
        trace_id: String::new(),
        warnings: Vec::new(),
        error: String::new(),
        request_bytes: 0,
        response_bytes: 0,
    }
}
