//! The proof: the chart is installed into a real cluster, workloads with the official SDKs call the pool, and whatever
//! happens around them, no request fails and each is in the history once. Everything is driven from outside.
//!
//! | module | what it holds |
//! |---|---|
//! | `story` | installed, called in every way, and over to the next account when one is limited |
//! | `secrets` | a key is changed under load; what is wrong with an object is said, and the others serve |
//! | `chaos` | leader, controllers, everything, API server, Postgres: each away under load |
//! | `authority` | the controller's authority is replaced under load and a long stream |
//! | `lifecycle` | upgrade and rollback under load |
//! | `quickstart` | README's commands, literally; and what is left when it is uninstalled |
//! | `policies` | NetworkPolicies in force: who reaches what, and who does not |
//! | `production` | your own Postgres and TLS at the gateway |
//! | `rights` | every rule of the controller's roles is needed |
//! | `exercise` | everything that the controller ever asks the API server for |
//! | `installation` | the installation that the tests share, and whose turn it is |
//! | `images` | the images, built from the programs of this build, and that of the workloads |
//! | `team` | a namespace with accounts at the simulated provider |
//! | `workload` | pods that call the pool in a loop, and what became of each request |
//! | `simulator` | the provider: what it received, and what goes wrong |
//! | `history` | the rows in Postgres |

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod authority;
mod chaos;
mod exercise;
mod history;
mod images;
mod installation;
mod lifecycle;
mod policies;
mod production;
mod quickstart;
mod rights;
mod secrets;
mod simulator;
mod story;
mod team;
mod workload;
