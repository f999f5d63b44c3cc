//! The data plane: sockets, clocks, tasks and streams around the decisions of `penstock-proxy-core`.
//!
//! | module | what it owns |
//! |---|---|
//! | [`config`] | flags and environment, checked once |
//! | [`app`] | the running program: what is started, joined and ended |
//! | [`shutdown`] | signals, and the stages of an end |
//! | `worker` | one thread: its runtime, share of the port and upstream connections |
//! | `listener` | sockets, TLS and HTTP from clients; limits on how they may be used |
//! | `pipeline` | a request's path, top to bottom |
//! | `authenticate` | stage 2: who calls |
//! | `body` | stage 4: the request's body and what it asks for |
//! | `attempt` | stages 5 to 7: one account after another |
//! | [`head`] | how requests and answers begin |
//! | `dial` | TCP to whichever of several addresses answers |
//! | `io` | a byte stream, plaintext or TLS |
//! | [`upstream`] | one request to a provider, and its response as it arrives |
//! | [`relay`] | stages 8 and 9: the answer on its way to the client, and the tap |
//! | `completion` | stage 10: one event per request, however it ended |
//! | [`respond`] | answers that Penstock gives itself |
//! | `state` | what all workers share |
//! | [`sink`] | history events on their way to the controller, in memory |
//! | [`spool`] | history events on their way to the controller, in files |
//! | [`observations`] | what was learned of accounts, on its way to the controller |
//! | [`control`] | the connection to the controller, and what goes over it |
//! | `admin` | probes, metrics and state |
//! | `alarm` | limits on waits |
//! | `metrics` | every metric's name |
//! | [`telemetry`] | logs and trace ids |

pub mod app;
pub mod config;
pub mod control;
pub mod head;
pub mod observations;
pub mod relay;
pub mod respond;
pub mod shutdown;
pub mod sink;
pub mod spool;
pub mod telemetry;
pub mod upstream;

mod admin;
mod alarm;
mod attempt;
mod authenticate;
mod body;
mod completion;
mod dial;
mod io;
mod listener;
mod metrics;
mod pipeline;
mod state;
mod worker;
