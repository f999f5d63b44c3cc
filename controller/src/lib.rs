//! The control plane: watches, gRPC, store and the management API around the decisions of
//! `penstock-controller-core`.
//!
//! | module | what it owns |
//! |---|---|
//! | [`app`] | the parts put together, and every long-lived task |
//! | [`config`] | flags, environment and file, checked once |
//! | [`cluster`] | where objects come from and go to |
//! | [`reconcile`] | the world, and the published plan |
//! | [`apply`] | what a plan says beyond being published |
//! | [`fleet`] | the controllers that share a database, and whose proxies are whose |
//! | [`refusals`] | what proxies refused, told to its owners |
//! | [`grpc`] | where proxies connect: pushes to them, reports from them |
//! | [`proxies`] | the proxies that are connected, and how far behind they are |
//! | [`ingest`] | batches of events from the proxies, on their way into the store |
//! | [`store`] | the history in Postgres, and the private Postgres itself |
//! | [`budget`] | what accounts have spent, as the history says |
//! | [`history`] | the life of the history: migrated, written, kept for some days |
//! | [`api`] | the management API and the dashboard |
//! | [`admission`] | the webhook that puts sidecars into pods |
//! | [`listener`] | TLS connections, for the listeners |
//! | [`certificates`] | the controller's own authority, and its server certificate |
//! | [`own_secret`] | a Secret of the controller's own, that all replicas share |
//! | [`issuer`] | who signs the tokens of the cluster's ServiceAccounts |
//! | `known` | what the API server said of tokens and rights, as long as it counts |
//! | [`tokens`] | tokens that are made once and kept in the data folder |
//! | [`leader`] | who may write as a single writer |
//! | [`shutdown`] | when to stop |
//! | [`metrics`] | every metric, by name |
//! | [`telemetry`] | logs |

pub mod admission;
pub mod api;
pub mod app;
pub mod apply;
pub mod budget;
pub mod certificates;
pub mod cluster;
pub mod config;
pub mod fleet;
pub mod grpc;
pub mod history;
pub mod ingest;
pub mod issuer;
mod known;
pub mod leader;
pub mod listener;
pub mod metrics;
pub mod own_secret;
pub mod proxies;
pub mod reconcile;
pub mod refusals;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod tokens;
