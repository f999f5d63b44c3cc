//! The running proxy between real sockets: a scripted provider behind it, raw bytes in front of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod callers;
mod drain;
mod failover;
mod http1;
mod limits;
mod program;
mod protocols;
mod request;
mod stream;
mod support;
mod upload;
