//! The kinds of faults, and what each does to an answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{limits::Exhausted, reply::Failure};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the table in the crate's documentation says what each looks like")]
pub enum FaultKind {
    FiveHour,
    SevenDay,
    ModelWindow,
    PerMinute,
    Windowless,
    InsufficientQuota,
    UsageLimitReached,
    UsageNotIncluded,
    Overloaded,
    OverloadedEvent,
    ErrorEvent,
    Cut,
    Truncated,
    Reset,
    ResetMidway,
    Hang,
    HangMidway,
    Unauthorized,
    Billing,
    Forbidden,
    ModelNotFound,
    ServerError,
    BadGateway,
    Unavailable,
    GatewayTimeout,
    Slow,
}

/// What a fault does to an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// A failure is answered instead.
    Instead(Failure),
    /// A failure is the only event of the stream.
    FirstEvent(Failure),
    /// A failure ends the stream in its middle.
    LateEvent(Failure),
    /// The body breaks in its middle.
    Midway(Break),
    /// Nothing is answered.
    NoHead(Break),
    /// Nothing but time.
    Delay,
}

/// How a body, or a connection, breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The connection closes; over HTTP/2 the stream is reset.
    Close,
    /// It ends as if it were complete.
    End,
    /// TCP reset.
    Reset,
    /// Silence.
    Hang,
}

impl FaultKind {
    /// Its name, as in rules and the journal.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::FiveHour => "five_hour",
            Self::SevenDay => "seven_day",
            Self::ModelWindow => "model_window",
            Self::PerMinute => "per_minute",
            Self::Windowless => "windowless",
            Self::InsufficientQuota => "insufficient_quota",
            Self::UsageLimitReached => "usage_limit_reached",
            Self::UsageNotIncluded => "usage_not_included",
            Self::Overloaded => "overloaded",
            Self::OverloadedEvent => "overloaded_event",
            Self::ErrorEvent => "error_event",
            Self::Cut => "cut",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::ResetMidway => "reset_midway",
            Self::Hang => "hang",
            Self::HangMidway => "hang_midway",
            Self::Unauthorized => "unauthorized",
            Self::Billing => "billing",
            Self::Forbidden => "forbidden",
            Self::ModelNotFound => "model_not_found",
            Self::ServerError => "server_error",
            Self::BadGateway => "bad_gateway",
            Self::Unavailable => "unavailable",
            Self::GatewayTimeout => "gateway_timeout",
            Self::Slow => "slow",
        }
    }

    /// Seconds until the reset it announces if nothing else is said; `None` if it announces none.
    pub(super) fn usual_reset(self) -> Option<i64> {
        match self {
            Self::FiveHour | Self::UsageLimitReached => Some(18_000),
            Self::SevenDay | Self::ModelWindow => Some(604_800),
            Self::PerMinute => Some(60),
            _ => None,
        }
    }

    /// Whether it can strike a stream only.
    pub(super) fn needs_stream(self) -> bool {
        matches!(self, Self::OverloadedEvent | Self::ErrorEvent)
    }

    /// Whether it can strike only what names a model.
    pub(super) fn needs_model(self) -> bool {
        matches!(self, Self::ModelWindow | Self::ModelNotFound)
    }

    /// What it does; `until` is the reset it announces.
    pub(crate) fn shape(self, until: Option<Timestamp>) -> Shape {
        let until = until.unwrap_or(Timestamp::MAX);
        let limited = |by| Shape::Instead(Failure::Limited { by, until });
        match self {
            Self::FiveHour => limited(Exhausted::FiveHour),
            Self::SevenDay => limited(Exhausted::SevenDay),
            Self::ModelWindow => limited(Exhausted::Model),
            Self::PerMinute => limited(Exhausted::PerMinute),
            Self::Windowless => Shape::Instead(Failure::Windowless),
            Self::InsufficientQuota => Shape::Instead(Failure::InsufficientQuota),
            Self::UsageLimitReached => Shape::Instead(Failure::UsageLimitReached { until }),
            Self::UsageNotIncluded => Shape::Instead(Failure::UsageNotIncluded),
            Self::Overloaded => Shape::Instead(Failure::Overloaded),
            Self::OverloadedEvent => Shape::FirstEvent(Failure::Overloaded),
            Self::ErrorEvent => Shape::LateEvent(Failure::ServerError),
            Self::Cut => Shape::Midway(Break::Close),
            Self::Truncated => Shape::Midway(Break::End),
            Self::Reset => Shape::NoHead(Break::Reset),
            Self::ResetMidway => Shape::Midway(Break::Reset),
            Self::Hang => Shape::NoHead(Break::Hang),
            Self::HangMidway => Shape::Midway(Break::Hang),
            Self::Unauthorized => Shape::Instead(Failure::Unauthorized),
            Self::Billing => Shape::Instead(Failure::Billing),
            Self::Forbidden => Shape::Instead(Failure::Forbidden),
            Self::ModelNotFound => Shape::Instead(Failure::ModelNotFound),
            Self::ServerError => Shape::Instead(Failure::ServerError),
            Self::BadGateway => Shape::Instead(Failure::BadGateway),
            Self::Unavailable => Shape::Instead(Failure::Unavailable),
            Self::GatewayTimeout => Shape::Instead(Failure::GatewayTimeout),
            Self::Slow => Shape::Delay,
        }
    }
}
