//! The history row of a request, from what its completion gathered.
//! Every accepted request has exactly one, however it ended.

use jiff::Timestamp;
use penstock_proto::dialect::Dialect;
use penstock_proto::event::{Attempt, Caller, Ending, Event};
use penstock_proto::ids::{AccountId, PoolId};
use penstock_proto::usage::{Usage, UsageSource};
use uuid::Uuid;

use crate::affinity::SessionKey;

/// How the answer to the client ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sent {
    /// The client went away before the end. The default: the ending nobody announces.
    #[default]
    ClientLeft,
    /// A provider's answer was relayed to its end (also one that tells the client its own fault).
    Relayed,
    /// The upstream ended before its terminal event.
    Truncated,
    /// A relayed stream ended with the provider's error event, or ours.
    ErrorInStream,
    /// Penstock answered by itself, with this answer's status.
    Answered,
}

/// What a completion gathered until the end.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// `UUIDv7` of the request.
    pub id: Uuid,
    /// When the request head was read.
    pub received_at: Timestamp,
    /// When the first byte of the answer was sent.
    pub first_byte_at: Option<Timestamp>,
    /// Who asked.
    pub caller: Caller,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The client's format.
    pub dialect: Option<Dialect>,
    /// The pool that serves.
    pub pool: Option<PoolId>,
    /// The account whose answer was relayed, with its provider.
    pub account: Option<(AccountId, String)>,
    /// As the client wrote it.
    pub model_asked: String,
    /// As sent.
    pub model_sent: String,
    /// As answered.
    pub model_answered: String,
    /// The conversation.
    pub session: Option<SessionKey>,
    /// Status as answered; 0 = none.
    pub status: u16,
    /// How it ended.
    pub sent: Sent,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Every try.
    pub attempts: Vec<Attempt>,
    /// Tokens as read; `None` = nothing was read.
    pub usage: Option<Usage>,
    /// Tokens as estimated from bytes, for an answer without usage.
    pub estimate: Usage,
    /// W3C trace id; empty = none.
    pub trace_id: String,
    /// Warning tokens.
    pub warnings: Vec<String>,
    /// Why it failed; empty = it did not.
    pub error: String,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
}

/// How the request ended for the client.
pub fn ending(sent: Sent, status: u16) -> Ending {
    match sent {
        Sent::ClientLeft => Ending::ClientLeft,
        Sent::Truncated => Ending::Truncated,
        // A relayed 4xx is the provider's whole answer to a faulty request; a relayed 5xx is a failure.
        Sent::Relayed if status < 500 => Ending::Complete,
        Sent::Answered if status < 400 => Ending::Complete,
        Sent::Relayed | Sent::Answered | Sent::ErrorInStream => Ending::Error,
    }
}

/// Makes the row.
pub fn assemble(gathered: Gathered, finished_at: Timestamp) -> Event {
    let ending = ending(gathered.sent, gathered.status);
    let (usage, usage_source) = usage(&gathered);
    let (account, provider) = gathered.account.map_or((None, String::new()), |(id, name)| (Some(id), name));
    Event {
        id: gathered.id,
        received_at: gathered.received_at,
        first_byte_at: gathered.first_byte_at,
        finished_at,
        caller: gathered.caller,
        method: gathered.method,
        path: gathered.path,
        dialect: gathered.dialect,
        pool: gathered.pool,
        account,
        provider,
        model_asked: gathered.model_asked,
        model_sent: gathered.model_sent,
        model_answered: gathered.model_answered,
        session: gathered.session.map(SessionKey::to_hex).unwrap_or_default(),
        status: gathered.status,
        ending,
        stream: gathered.stream,
        attempts: gathered.attempts,
        usage,
        usage_source,
        trace_id: gathered.trace_id,
        warnings: gathered.warnings,
        error: gathered.error,
        request_bytes: gathered.request_bytes,
        response_bytes: gathered.response_bytes,
    }
}

/// Reported numbers of a whole answer; else, if an account generated something, the estimate.
///
/// An answer cut short reports too little: its prompt side stands as reported, its generated side is
/// whichever is more.
fn usage(gathered: &Gathered) -> (Usage, UsageSource) {
    let whole = matches!(gathered.sent, Sent::Relayed);
    match gathered.usage {
        Some(reported) if whole => (reported, UsageSource::Reported),
        Some(reported) => {
            let generated = reported.output_tokens + reported.reasoning_tokens;
            let missing = gathered.estimate.output_tokens.saturating_sub(generated);
            let output_tokens = reported.output_tokens.saturating_add(missing);
            (Usage { output_tokens, ..reported }, UsageSource::Estimated)
        }
        None if gathered.account.is_some() && gathered.estimate.total() > 0 => {
            (gathered.estimate, UsageSource::Estimated)
        }
        None => (Usage::default(), UsageSource::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered() -> Gathered {
        Gathered {
            id: Uuid::nil(),
            received_at: Timestamp::UNIX_EPOCH,
            first_byte_at: None,
            caller: Caller::default(),
            method: "POST".into(),
            path: "/v1/messages".into(),
            dialect: Some(Dialect::AnthropicMessages),
            pool: None,
            account: Some(("llm/a".parse().unwrap(), "anthropic".into())),
            model_asked: "m".into(),
            model_sent: "m".into(),
            model_answered: String::new(),
            session: Some(SessionKey(10)),
            status: 200,
            sent: Sent::default(),
            stream: true,
            attempts: Vec::new(),
            usage: None,
            estimate: Usage { output_tokens: 40, ..Usage::default() },
            trace_id: String::new(),
            warnings: Vec::new(),
            error: String::new(),
            request_bytes: 1,
            response_bytes: 2,
        }
    }

    #[test]
    fn an_ending_nobody_announced_is_the_client_leaving_and_its_usage_is_estimated() {
        let event = assemble(gathered(), Timestamp::UNIX_EPOCH);
        assert_eq!(event.ending, Ending::ClientLeft);
        assert_eq!((event.usage.output_tokens, event.usage_source), (40, UsageSource::Estimated));
        assert_eq!(event.session, "0000000000000000000000000000000a");
        assert_eq!(event.provider, "anthropic");
    }

    #[test]
    fn every_way_to_end_has_its_ending() {
        for (sent, status, expected) in [
            (Sent::Relayed, 200, Ending::Complete),
            (Sent::Relayed, 404, Ending::Complete),
            (Sent::Relayed, 500, Ending::Error),
            (Sent::Truncated, 200, Ending::Truncated),
            (Sent::ErrorInStream, 200, Ending::Error),
            (Sent::Answered, 429, Ending::Error),
            (Sent::Answered, 200, Ending::Complete),
            (Sent::ClientLeft, 0, Ending::ClientLeft),
        ] {
            assert_eq!(ending(sent, status), expected, "{sent:?} {status}");
        }
    }

    #[test]
    fn a_cut_answer_keeps_its_reported_prompt_and_the_larger_output() {
        let reported = Usage { input_tokens: 100, output_tokens: 3, ..Usage::default() };
        let cut = Gathered { usage: Some(reported), sent: Sent::Truncated, ..gathered() };
        let event = assemble(cut, Timestamp::UNIX_EPOCH);
        assert_eq!((event.usage.input_tokens, event.usage.output_tokens), (100, 40));
        let whole = Gathered { usage: Some(reported), sent: Sent::Relayed, ..gathered() };
        let event = assemble(whole, Timestamp::UNIX_EPOCH);
        assert_eq!((event.usage, event.usage_source), (reported, UsageSource::Reported));
    }
}
