//! A provider that behaves like the real ones, with limits and faults on command.
//!
//! It is what `penstock up --demo`, the tests and the benchmark talk to instead of Anthropic, `OpenAI` and
//! the Codex backend. It is an oracle, so it shares no code with the proxy: what it says of a wire format
//! is written here a second time, from the providers' documents.
//!
//! It must never reach out to the network, and never see a credential that matters: it keeps what it
//! receives, headers included, for the tests to read.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the flags, and the JSON file of accounts |
//! | `listener`, `socket`, `tls` | sockets, connections, certificates |
//! | `service` | a request's way from head to answer |
//! | `route` | which provider and operation a path means |
//! | `respond` | what a request gets: its fault, its limit, or its answer |
//! | `ask`, `answer`, `reply` | what was asked, the answer before it has a dialect, and after |
//! | `anthropic`, `openai`, `codex`, `json`, `ids` | how each provider phrases answers, streams, headers and errors |
//! | [`limits`], `accounts` | windows that count and reset, per credential |
//! | [`faults`] | what goes wrong on command |
//! | `playback` | a body that is sent at its pace, and may break |
//! | [`journal`] | what was received, for tests to read |
//! | `control`, `state`, `simulator` | the HTTP interface to all of this, what it changes, and how it starts |
//! | `bench` | the short way that only answers |
#![doc = include_str!("../README.md")]

mod accounts;
mod answer;
mod anthropic;
mod ask;
mod bench;
mod codex;
pub mod config;
mod control;
pub mod faults;
mod ids;
pub mod journal;
mod json;
pub mod limits;
mod listener;
mod openai;
mod playback;
mod reply;
mod respond;
mod route;
mod service;
mod simulator;
mod socket;
mod state;
mod tls;

pub use accounts::{Accounts, Status};
pub use config::Config;
pub use simulator::{Simulator, StartError};
pub use state::State;
pub use tls::TlsError;
