//! Every decision the controller makes: what is valid, what each proxy should know, how observations merge.
//! Pure: time is an argument, reasons are return values.
//!
//! | module | what it decides |
//! |---|---|
//! | [`objects`] | nothing: the objects, as plain ordered maps |
//! | [`world`] | nothing: everything the controller knows, objects and observations |
//! | [`validate`] | whether an object can be used as it is written, and what to do if not |
//! | [`reconcile`] | `reconcile(&World, now) -> Plan`: what proxies should know, and what to write |
//! | [`snapshot`] | what one proxy may see of a plan, and what turns what it holds into that |
//! | [`observe`] | how what proxies learned enters the world, and whether it must be told at once |
//! | [`status`] | how limits are written into an account's status and read from it |
//! | [`conditions`] | when a condition changes, and its time with it |
//! | [`inject`] | what becomes of a pod when a sidecar is put into it |
//! | [`identity`] | who a proxy is, what that lets it see, and how long a review of its token counts |
//! | [`access`] | what a caller of the management API must be allowed for what it asks, and what it sees |
//! | [`site`] | whether a call may be one of the dashboard's own pages |
//! | [`issuer`] | what an API server publishes of how it signs tokens |
//! | [`authority`] | when the controller's own authority is replaced, and how nobody notices |
//! | [`damp`] | when a status is worth a write, and what of it a replica may write |
//! | [`leader`] | who of several replicas leads, and until when |
//! | [`budget`] | the periods of budgets, and whether one is spent |
//! | [`document`] | nothing: a file of manifests, cut into its documents |
//! | [`price`] | what a request cost |
//! | [`references`] | which Secrets and ConfigMaps objects refer to |
//! | [`retention`] | which partitions of the history to create ahead and which to drop |

pub mod access;
pub mod authority;
pub mod budget;
pub mod conditions;
pub mod damp;
pub mod document;
pub mod identity;
pub mod inject;
pub mod issuer;
pub mod leader;
pub mod objects;
pub mod observe;
pub mod price;
pub mod reconcile;
pub mod references;
pub mod retention;
pub mod site;
pub mod snapshot;
pub mod status;
pub mod validate;
pub mod world;

/// What the values of a Secret are read into.
pub use penstock_proto::secret::Secret;
pub use reconcile::{Plan, reconcile};
pub use world::World;
