//! The data plane: sockets, clocks, tasks and streams around the decisions of `penstock-proxy-core`.
//!
//! | module | what it owns |
//! |---|---|
//! | [`config`] | flags and environment, checked once |
//! | [`telemetry`] | logs and trace ids |
//! | [`sink`] | history events on their way to the controller, in memory |
//! | [`spool`] | history events on their way to the controller, in files |
//! | [`upstream`] | one request to a provider, and its response as it arrives |

pub mod config;
pub mod sink;
pub mod spool;
pub mod telemetry;
pub mod upstream;
