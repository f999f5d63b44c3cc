//! The loop around selection: try, wait or give up. Provably finite: every failed try uses up an
//! attempt or rules out an account, every wait moves time on towards the deadline.

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proto::dialect::Dialect;
use penstock_proto::event::Attempt;
use penstock_proto::ids::PoolId;
use penstock_proto::observation::Observation;
use rand::Rng;

use crate::affinity::SessionKey;
use crate::classify::Verdict;
use crate::exhausted::Exhausted;
use crate::live::{Live, Ticket};
use crate::pool::Candidate;
use crate::route::{Operation, Selector};
use crate::select::Why;
use crate::view::View;

/// The facts of a request that decide where it goes.
#[derive(Debug, Clone)]
pub struct Request {
    /// The caller's pool.
    pub pool: PoolId,
    /// The client's format.
    pub dialect: Option<Dialect>,
    /// What is asked.
    pub operation: Operation,
    /// Whose accounts may serve ([`crate::route::Route::resolve`]).
    pub selector: Selector,
    /// Model asked for, without prefix; empty = none.
    pub model: String,
    /// Its conversation.
    pub session: Option<SessionKey>,
    /// The only account to use: name or `namespace/name`.
    pub forced: Option<String>,
    /// Providers not to be used.
    pub exclude_providers: Vec<String>,
    /// Whether the body is kept, so that it can be sent again.
    pub replayable: bool,
    /// When to give up.
    pub deadline: Timestamp,
}

/// What to do now.
#[derive(Debug)]
pub enum Step {
    /// Send it.
    Try(Choice),
    /// Ask again at this instant (or earlier, if the pool's state changed).
    WaitUntil(Timestamp),
    /// Answer the client.
    GiveUp(Exhausted),
}

/// One attempt to make.
#[derive(Debug)]
pub struct Choice {
    /// The account, with its headers and base URL.
    pub candidate: Arc<Candidate>,
    /// The model to send; empty = none.
    pub model: String,
    /// Why this account.
    pub why: Why,
    /// 1 for the first attempt.
    pub number: u32,
    /// To be given back when the attempt, and the stream it became, is over.
    pub ticket: Ticket,
}

/// The attempts of one request.
#[derive(Debug)]
pub struct Attempts {
    request: Request,
    made: Vec<Attempt>,
}

impl Attempts {
    /// Starts the loop.
    pub fn new(request: Request) -> Self {
        Self { request, made: Vec::new() }
    }

    /// Decides what to do now. Call again after [`Step::WaitUntil`], and after [`Attempts::record`].
    pub fn next(&mut self, _live: &mut Live, _view: &View, _now: Timestamp, _rng: &mut impl Rng) -> Step {
        let _ = &self.request;
        todo!()
    }

    /// Takes in what the answer to the last choice meant; returns what is to be reported at once.
    pub fn record(&mut self, _live: &mut Live, _verdict: &Verdict, _now: Timestamp) -> Option<Observation> {
        todo!()
    }

    /// Every attempt so far, in order, for the event.
    pub fn made(&self) -> &[Attempt] {
        &self.made
    }
}
