//! The wire formats against streams and bodies as providers and clients send them, and against plain
//! readings of the same bytes by `serde_json`.

mod bodies;
mod bytes;
mod commit;
mod encoding;
mod errors;
mod full_parse;
mod laws;
mod phrase;
mod random;
mod request;
mod samples;
mod sse;
mod streams;
