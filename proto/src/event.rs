//! One history row per accepted request, however it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::ids::{AccountId, PoolId};
use crate::usage::{Usage, UsageSource};

/// How a request ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The whole answer was sent; also an error answer of the provider that is the client's own fault.
    Complete,
    /// The upstream ended before its terminal event.
    Truncated,
    /// Penstock or the provider answered with an error, or the stream ended with one.
    Error,
    /// The client went away first.
    ClientLeft,
}

impl Ending {
    /// Stable label for history and metrics.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Error => "error",
            Self::ClientLeft => "client_left",
        }
    }
}

/// Who asked. Empty parts are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Caller {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// ServiceAccount name.
    pub service_account: String,
    /// Name of the client key, never the key.
    pub key: String,
}

/// One try on one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Which account.
    pub account: AccountId,
    /// Label of what the answer meant (behaviour of the pool, classify).
    pub outcome: String,
    /// HTTP status; 0 = there was no answer.
    pub status: u16,
    /// From sending to the verdict (for the attempt that was relayed: to its commit), milliseconds.
    pub duration_ms: u64,
    /// The model as sent.
    pub model: String,
}

/// One accepted request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// UUIDv7; the history row's key.
    pub id: Uuid,
    /// When the request head was read.
    pub received_at: Timestamp,
    /// When the first byte of the answer was sent.
    pub first_byte_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Timestamp,
    /// Who asked.
    pub caller: Caller,
    /// HTTP method.
    pub method: String,
    /// Path as received, without the query.
    pub path: String,
    /// The client's format; `None` where the route has none.
    pub dialect: Option<Dialect>,
    /// The pool that served.
    pub pool: Option<PoolId>,
    /// The account whose answer was relayed.
    pub account: Option<AccountId>,
    /// Its provider; empty without an account.
    pub provider: String,
    /// Model as the client wrote it; empty = none.
    pub model_asked: String,
    /// Model as sent to the account; empty = none.
    pub model_sent: String,
    /// Model as the provider answered; empty = unknown.
    pub model_answered: String,
    /// Hash of the affinity key; empty = none.
    pub session: String,
    /// HTTP status as answered to the client; 0 = it left before.
    pub status: u16,
    /// How it ended.
    pub ending: Ending,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Every try, in order.
    pub attempts: Vec<Attempt>,
    /// Tokens, by class.
    pub usage: Usage,
    /// Where the token numbers come from.
    pub usage_source: UsageSource,
    /// W3C trace id, 32 hex digits; empty = none.
    pub trace_id: String,
    /// Tokens of `x-penstock-warnings`.
    pub warnings: Vec<String>,
    /// Why it failed, for people; never contains a credential; empty = it did not.
    pub error: String,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
}

impl Event {
    /// A request of which nothing is known but when it came; it was answered with nothing.
    pub fn new(id: Uuid, received_at: Timestamp) -> Self {
        Self {
            id,
            received_at,
            first_byte_at: None,
            finished_at: received_at,
            caller: Caller::default(),
            method: String::new(),
            path: String::new(),
            dialect: None,
            pool: None,
            account: None,
            provider: String::new(),
            model_asked: String::new(),
            model_sent: String::new(),
            model_answered: String::new(),
            session: String::new(),
            status: 0,
            ending: Ending::ClientLeft,
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
}
