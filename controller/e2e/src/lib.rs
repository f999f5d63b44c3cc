//! A real Kubernetes for tests: brings it up, drives it from outside and removes it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api_server`] | an API server without nodes: ready in seconds, for everything that needs no pod |
//! | [`cluster`] | a whole Kubernetes with a node, or the one you name |
//! | [`namespace`] | a namespace for one test, and what to show when the test fails |
//! | [`wait`] | waiting for a state, and what was last seen when it never came |
//! | [`report`] | events, pods and logs, for a test that failed |
//! | [`tools`] | kubectl and helm |
//! | [`parts`] | the programs and images, built once into a cache |
//! | [`pki`] | the certificates and kubeconfigs of a cluster |
//! | [`process`] | programs that never outlive the test |
//! | [`web`] | HTTP to what a test runs |
//! | [`product`] | Penstock's images, made of this build's programs, its chart, and a volume for its Postgres |
//! | [`scratch`] | directories that never outlive the test |
//!
//! docs/testing.md says how it works and how to look into it. Nothing in here is used by a product's program.

pub mod api_server;
pub mod cluster;
pub mod namespace;
pub mod parts;
pub mod pki;
pub mod process;
pub mod product;
pub mod report;
pub mod scratch;
pub mod tools;
pub mod wait;
pub mod web;

pub use api_server::ApiServer;
pub use cluster::{Cluster, with_cluster};
pub use namespace::with_temp_ns;
pub use wait::{await_condition, until};
