//! Chooses the account for an attempt.
//! Never returns an account that is not eligible; never waits; same inputs, same answer.

use jiff::Timestamp;
use penstock_proto::ids::AccountId;
use penstock_proto::limits::CooldownReason;

/// Why this account was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The client forced it.
    Forced,
    /// The conversation's key points to it.
    Session,
    /// The conversation moved to it earlier and stays.
    Moved,
    /// The conversation's account cannot serve now.
    Takeover,
    /// The pool's order, for a request without a conversation or a strategy without affinity.
    Order,
    /// The same account again, after a short wait.
    Again,
    /// Another account after a failed attempt.
    Failover,
}

/// Why an account cannot serve now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No usable credential.
    NoCredential,
    /// Its access token has ended.
    CredentialExpired,
    /// The provider rejected its credential.
    CredentialRejected,
    /// Set aside by a person.
    Paused,
    /// Out of use until the spec changes; why.
    Blocked(String),
    /// Left alone until an instant.
    Cooling {
        /// Why.
        reason: CooldownReason,
        /// Until when.
        until: Timestamp,
    },
    /// A window is at the ceiling its owner set.
    Ceiling {
        /// Which window.
        window: String,
        /// When it starts anew.
        until: Option<Timestamp>,
    },
    /// All its slots are in use.
    Busy,
    /// Its per-minute budget is used up.
    Budget {
        /// When there is room again.
        until: Timestamp,
    },
    /// It just took over from another account and takes more step by step.
    RampingUp {
        /// When the next request may start.
        until: Timestamp,
    },
    /// This request tried it already.
    Tried,
}

/// Why one account cannot serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// Which.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

impl Why {
    /// Stable label for history, metrics and spans.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::Session => "session",
            Self::Moved => "moved",
            Self::Takeover => "takeover",
            Self::Order => "order",
            Self::Again => "again",
            Self::Failover => "failover",
        }
    }
}
