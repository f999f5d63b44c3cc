//! The sidecar and gateway: sockets, clocks, tasks and streams around the decisions of `penstock-proxy-core`.
//!
//! | module | what it does |
//! |---|---|
//! | [`upstream`] | sends a request to a provider and reads its response as it arrives |

pub mod upstream;
