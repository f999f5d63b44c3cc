//! The upstream leg against scripted servers on real sockets.

mod body;
mod http2;
mod reuse;
mod secure;
mod server;
mod upload;
