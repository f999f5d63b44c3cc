//! `penstock up` as a person runs it: the real programs, real sockets, a real Postgres.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be had is the failure")]

#[path = "up/budget.rs"]
mod budget;
#[path = "up/everyday.rs"]
mod everyday;
#[path = "up/http.rs"]
mod http;
#[path = "up/kills.rs"]
mod kills;
#[path = "up/running.rs"]
mod running;
