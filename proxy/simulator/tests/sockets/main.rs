//! The simulator over real sockets: wire formats, limits, faults, the journal, TLS.
#![cfg(test)]

mod client;
mod control;
mod faults;
mod limits;
mod tls;
mod wire;
