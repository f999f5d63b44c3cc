//! The contract between proxy and controller, and the vocabulary both share.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | names of accounts, pools, requests and resources, parsed once |
//! | [`secret`] | a string that cannot be printed by accident |
//! | [`dialect`] | the three request formats, and how a credential is presented |
//! | [`limits`] | windows and cooldowns, and the rule that merges observations of them |
//! | [`snapshot`] | what the controller pushes: accounts, their state, pools, grants |
//! | [`issuer`] | who signs ServiceAccounts' tokens, and with which keys |
//! | [`resource`] | the pieces of a snapshot with their versions, and how an update is taken in |
//! | [`peer`] | how a proxy introduces itself |
//! | [`observation`] | what a proxy learned about an account |
//! | [`usage`] | disjoint token classes |
//! | [`event`] | one history row per request |
//! | [`convert`] | the only place that reads and writes the generated types |
//! | [`wire`] | the generated types, for `convert` and the gRPC ends |

pub mod convert;
pub mod dialect;
pub mod event;
pub mod ids;
pub mod issuer;
pub mod limits;
pub mod observation;
pub mod peer;
pub mod resource;
pub mod secret;
pub mod snapshot;
pub mod usage;

/// The generated protobuf types and gRPC stubs. Named only in [`convert`] and the gRPC ends.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code, different with each feature; the .proto file carries the docs"
)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/penstock.control.v1.rs"));
}
