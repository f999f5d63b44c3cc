//! The loop around selection: try, wait or give up. Provably finite: every failed try uses up an
//! attempt or rules out an account, every wait moves time on towards the deadline.

mod next;
mod outcome;
mod plan;

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proto::event::Attempt;

use crate::classify::Outcome;
use crate::exhausted::Exhausted;
use crate::live::Ticket;
use crate::pool::Candidate;
use crate::request::{Request, Tried};
use crate::select::Why;

/// Requests sent for one request, whatever their outcomes. An account's refusal rules that account (or its
/// model) out and does not count as an attempt, so that a pool of many limited accounts is gone through to
/// the one that is not; this is where even that ends.
pub const MOST_SENT: usize = 64;

/// What to do now.
#[derive(Debug)]
pub enum Step {
    /// Send it.
    Try(Choice),
    /// Ask again at this instant (or earlier, if the pool's state changed). Never in the past.
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
    current: Option<Current>,
    last: Option<Last>,
    tried: Vec<Tried>,
    after: After,
    not_before: Option<Timestamp>,
    /// Attempts that were no account's refusal, retries on an overloaded one aside: the pool limits these.
    failures: u32,
    server_faults: u32,
    /// Overloads in a row on the same account.
    overloads: u32,
    absorbed: bool,
    holding_since: Option<Timestamp>,
    chance: Option<u128>,
    rules: Rules,
}

/// What was sent and not yet answered.
#[derive(Debug)]
struct Current {
    candidate: Arc<Candidate>,
    model: String,
    sent_at: Timestamp,
    probe: bool,
}

/// How the last attempt ended.
#[derive(Debug)]
struct Last {
    candidate: Arc<Candidate>,
    outcome: Outcome,
    message: String,
    /// Whether the client could be given this answer as it is.
    relayable: bool,
}

/// What the last outcome asks for before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    /// A pause that grows, but not before the instant the provider names.
    Overload(Option<Timestamp>),
    Windowless,
    Until(Timestamp),
}

/// The pool's rules for attempts, as of the last step.
#[derive(Debug, Clone, Copy)]
struct Rules {
    attempts: u32,
    overload_retries: u32,
}

impl Attempts {
    /// Starts the loop.
    pub fn new(request: Request) -> Self {
        Self {
            request,
            made: Vec::new(),
            current: None,
            last: None,
            tried: Vec::new(),
            after: After::Nothing,
            not_before: None,
            failures: 0,
            server_faults: 0,
            overloads: 0,
            absorbed: false,
            holding_since: None,
            chance: None,
            rules: Rules { attempts: 1, overload_retries: 0 },
        }
    }

    /// Every attempt so far, in order.
    pub fn made(&self) -> &[Attempt] {
        &self.made
    }

    /// The same, for the event.
    pub fn into_made(self) -> Vec<Attempt> {
        self.made
    }

    /// What is asked.
    pub fn request(&self) -> &Request {
        &self.request
    }
}
