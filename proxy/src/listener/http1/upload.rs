//! A request's body that did not arrive with its head: read from the connection when it is asked for, so that a
//! client is slowed by whoever takes its bytes.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use super::wire::Wire;

/// What is still to come of a body.
pub(crate) struct Upload {
    wire: Arc<Mutex<Wire>>,
    announced: Option<u64>,
}

impl Upload {
    pub(super) fn new(wire: Arc<Mutex<Wire>>) -> Self {
        let announced = wire.lock().announced();
        Self { wire, announced }
    }

    /// Its length, if the client said it.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Appends what comes next to `body`; false at the end.
    pub(crate) fn poll_into(&mut self, body: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.wire.lock().poll_body_into(body, cx)
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.wire.lock().poll_body(cx)
    }
}
