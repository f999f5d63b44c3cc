//! An event for tests.

use jiff::Timestamp;
use penstock_proto::event::{Ending, Event};
use uuid::Uuid;

pub(crate) fn event(path: &str) -> Event {
    Event {
        method: "POST".to_owned(),
        path: path.to_owned(),
        status: 200,
        ending: Ending::Complete,
        ..Event::new(Uuid::now_v7(), Timestamp::UNIX_EPOCH)
    }
}
