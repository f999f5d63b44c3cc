//! The model APIs' wire formats: read requests, watch answers, count what was used, phrase errors.
//!
//! | module | what it holds |
//! |---|---|
//! | [`request`] | what a request asks for, found without parsing it whole |
//! | [`splice`] | another model name in a body, without copying the body |
//! | [`encoding`] | compressed bodies, decoded for reading |
//! | [`sse`] | Server-Sent Events cut out of network chunks |
//! | [`commit`] | whether a stream has begun to answer, or begins with an error |
//! | [`usage`] | the tap: tokens, model and ending of an answer that passes by |
//! | [`estimate`] | tokens counted from bytes where nobody says them |
//! | [`error`] | what an error body or error event says |
//! | [`phrase`] | errors in the client's own dialect |
//! | [`duration`] | spans of time as providers write them |
//!
//! Nothing here reads a clock, waits, logs or touches a file.

pub mod commit;
pub mod duration;
pub mod encoding;
pub mod error;
pub mod estimate;
pub mod phrase;
pub mod request;
pub mod splice;
pub mod sse;
pub mod usage;

mod kind;
mod scan;
