//! The control plane: watches, gRPC, store and the management API around the decisions of
//! `penstock-controller-core`.
//!
//! | module | what it owns |
//! |---|---|
//! | [`ingest`] | batches of events from the proxies, on their way into the store |
//! | [`store`] | the history in Postgres, and the private Postgres itself |

pub mod ingest;
pub mod store;
