//! The end of a request, whatever ended it: exactly one event for the sink, the account's slot given
//! back, tokens and times counted. All of it in `Drop`; the ending nobody announces is the client's leaving.
//! Never fails and never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use penstock_llm::estimate;
use penstock_llm::usage::{CodexLimits, Reading};
use penstock_proto::dialect::Dialect;
use penstock_proto::event::Caller;
use penstock_proto::usage::{Usage, UsageSource};
use penstock_proxy_core::attempt::{Attempts, Step};
use penstock_proxy_core::authenticate::Identity;
use penstock_proxy_core::classify::{Heard, Verdict, classify};
use penstock_proxy_core::event::{Gathered, Sent, assemble};
use penstock_proxy_core::headers::Headers;
use penstock_proxy_core::limits::learn_codex_event;
use penstock_proxy_core::live::Ticket;
use penstock_proxy_core::pool::Candidate;
use penstock_proxy_core::request::Request;
use penstock_proxy_core::route::{Operation, Route};
use rand::Rng;
use uuid::Uuid;

use crate::body::RequestBody;
use crate::head::RequestHead;
use crate::state::{Published, State};
use crate::telemetry;

const REQUEST_ID: &str = "x-penstock-request-id";

/// Gathers what is known of a request until it ends.
pub(crate) struct Completion {
    state: Arc<State>,
    gathered: Gathered,
    operation: Operation,
    attempts: Option<Attempts>,
    trying: Option<Trying>,
    /// How much has come of a body that is sent on as it arrives.
    uploaded: Option<Arc<AtomicU64>>,
}

/// The account whose answer is awaited or relayed.
struct Trying {
    ticket: Ticket,
    candidate: Arc<Candidate>,
    model: String,
    /// The answer was classified: what follows is its relay.
    recorded: bool,
}

impl Completion {
    /// A request was accepted: from here on there will be an event.
    pub(crate) fn begin(state: Arc<State>, head: &RequestHead) -> Self {
        state.metrics.request_started();
        let now = Timestamp::now();
        let trace_id = telemetry::trace_id(&head.headers).unwrap_or_default().to_owned();
        let gathered = Gathered {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            trace_id,
            ..nothing(new_id(now), now)
        };
        Self { state, gathered, operation: Operation::Other, attempts: None, trying: None, uploaded: None }
    }

    /// What is known so far, to be added to.
    pub(crate) fn gathered(&mut self) -> &mut Gathered {
        &mut self.gathered
    }

    /// The request's id.
    pub(crate) fn id(&self) -> Uuid {
        self.gathered.id
    }

    /// When it was accepted.
    pub(crate) fn received_at(&self) -> Timestamp {
        self.gathered.received_at
    }

    /// Says the request's id in its answer.
    pub(crate) fn sign(&self, headers: &mut Headers) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        headers.insert(REQUEST_ID, self.gathered.id.hyphenated().encode_lower(&mut text));
    }

    /// Who asks.
    pub(crate) fn called_by(&mut self, identity: &Identity) {
        self.gathered.caller = identity.caller.clone();
        self.gathered.pool = Some(identity.pool.clone());
    }

    /// What is asked.
    pub(crate) fn routed(&mut self, route: &Route) {
        self.gathered.dialect = route.dialect;
        self.operation = route.operation;
    }

    /// The attempts begin.
    pub(crate) fn attempting(&mut self, request: Request, body: &RequestBody) {
        body.model().clone_into(&mut self.gathered.model_asked);
        self.gathered.session = request.session;
        self.gathered.stream = body.asked.stream;
        self.gathered.request_bytes = body.size();
        self.uploaded = body.counter();
        self.attempts = Some(Attempts::new(request));
    }

    /// An answer was accepted: the request's body is about to be let go, so what an ending without
    /// numbers is estimated from is taken now.
    pub(crate) fn estimate_from(&mut self, body: &RequestBody) {
        // Anthropic says the prompt's tokens first; the OpenAI formats at the end, or not at all.
        let exact =
            body.is_whole() && body.asked.stream && self.gathered.dialect != Some(Dialect::AnthropicMessages);
        self.gathered.estimate.input_tokens =
            if exact { estimate::input_tokens(body.readable()) } else { estimate::tokens(body.size()) };
    }

    /// Decides the next step. Only after [`Completion::attempting`].
    pub(crate) fn next(&mut self, published: &Published) -> Step {
        let attempts = self.attempts.as_mut().expect("the attempts have begun");
        attempts.next(&mut self.state.live(), &published.view, Timestamp::now(), &mut rand::rng())
    }

    /// An account is tried.
    pub(crate) fn trying(&mut self, ticket: Ticket, candidate: Arc<Candidate>, model: String) {
        self.trying = Some(Trying { ticket, candidate, model, recorded: false });
    }

    /// What the answer meant. The account is given back unless its answer is relayed.
    pub(crate) fn record(&mut self, verdict: &Verdict, relayed: bool, now: Timestamp) {
        let (Some(attempts), Some(trying)) = (self.attempts.as_mut(), self.trying.as_mut()) else { return };
        trying.recorded = true;
        let learned = attempts.record(&mut self.state.live(), verdict, now);
        if let Some(observation) = learned {
            self.state.observations.note(observation);
        }
        self.state.metrics.attempted(&verdict.outcome);
        if !relayed {
            self.give_back(0, now);
        }
    }

    /// The answer's head goes to the client now.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let now = Timestamp::now();
        self.gathered.status = status.as_u16();
        self.gathered.first_byte_at = Some(now);
        self.state.metrics.first_byte(elapsed(self.gathered.received_at, now));
        if let Some(Trying { candidate, model, .. }) = self.trying.as_mut() {
            let account = &candidate.account;
            self.gathered.account = Some((account.id.clone(), account.provider.clone()));
            self.gathered.model_sent = std::mem::take(model);
        }
    }

    /// The account whose answer is relayed, and how many attempts there were.
    pub(crate) fn served_by(&self) -> Option<(&Candidate, usize)> {
        let made = self.attempts.as_ref().map_or(0, |attempts| attempts.made().len());
        self.trying.as_ref().map(|trying| (&*trying.candidate, made))
    }

    /// The account told of its windows in the middle of its answer.
    pub(crate) fn limits_told(&mut self, limits: &CodexLimits) {
        let Some(Trying { ticket, .. }) = &self.trying else { return };
        let now = Timestamp::now();
        let windows = learn_codex_event(limits, now);
        let learned = self.state.live().learn_windows(&ticket.account, &windows, now);
        if let Some(observation) = learned {
            self.state.observations.note(observation);
        }
    }

    /// What the tap read.
    pub(crate) fn read(&mut self, reading: Reading) {
        self.gathered.usage = (reading.source == UsageSource::Reported).then_some(reading.usage);
        if reading.source == UsageSource::Estimated {
            let input_tokens = self.gathered.estimate.input_tokens;
            self.gathered.estimate = reading.usage;
            if !reading.input_known {
                self.gathered.estimate.input_tokens = input_tokens;
            }
        }
        self.gathered.model_answered = reading.model.unwrap_or_default();
        if let Some(message) = reading.stream_error.and_then(|facts| facts.message) {
            self.gathered.error = message;
        }
    }

    /// How the answer ended. Without it, the client left.
    pub(crate) fn finish(mut self, sent: Sent) {
        self.gathered.sent = sent;
    }

    fn give_back(&mut self, tokens: u64, now: Timestamp) {
        let Some(Trying { ticket, .. }) = self.trying.take() else { return };
        {
            let mut live = self.state.live();
            if tokens > 0 {
                live.spent(&ticket.account, tokens, now);
            }
            live.release(ticket, now);
        }
        self.state.slot_released();
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let now = Timestamp::now();
        // Cut off by the end of the process, not by the client.
        if self.gathered.sent == Sent::ClientLeft && self.state.shutdown.stop.is_cancelled() {
            self.gathered.sent = Sent::Truncated;
        }
        if self.trying.as_ref().is_some_and(|trying| !trying.recorded) {
            let left = classify(&Heard::ClientLeft, &self.gathered.model_asked, now);
            self.record(&left, true, now);
        }
        let used = self.gathered.usage.unwrap_or(self.gathered.estimate).total();
        self.give_back(used, now);
        if let Some(attempts) = self.attempts.take() {
            self.gathered.attempts = attempts.into_made();
        }
        if let Some(uploaded) = &self.uploaded {
            self.gathered.request_bytes = uploaded.load(Ordering::Relaxed);
        }
        let blank = nothing(self.gathered.id, self.gathered.received_at);
        let event = assemble(std::mem::replace(&mut self.gathered, blank), now);
        self.state.metrics.request_ended(self.operation, &event);
        self.state.sink.offer(&event);
    }
}

/// As `Uuid::now_v7`, without a system call for the random part.
fn new_id(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::rng().random()).into_uuid()
}

/// A request of which nothing is known yet.
fn nothing(id: Uuid, received_at: Timestamp) -> Gathered {
    Gathered {
        id,
        received_at,
        first_byte_at: None,
        caller: Caller::default(),
        method: String::new(),
        path: String::new(),
        dialect: None,
        pool: None,
        account: None,
        model_asked: String::new(),
        model_sent: String::new(),
        model_answered: String::new(),
        session: None,
        status: 0,
        sent: Sent::default(),
        stream: false,
        attempts: Vec::new(),
        usage: None,
        estimate: Usage::default(),
        trace_id: String::new(),
        warnings: Vec::new(),
        error: String::new(),
        request_bytes: 0,
        response_bytes: 0,
    }
}

/// Time between two readings of the wall clock; zero if it was set back.
pub(crate) fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
