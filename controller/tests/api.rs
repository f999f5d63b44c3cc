//! The management API over real sockets, on a real folder of manifests and a real Postgres. Every answer is
//! held against the OpenAPI document, and none may carry a secret.
//!
//! | module | what it proves |
//! |---|---|
//! | `access` | who may use it: token, link, cookie; other sites and other names are refused |
//! | `people` | tokens of a cluster: each sees and changes what the API server says they may |
//! | `accounts` | accounts: made, changed, removed, and what is answered when that cannot be |
//! | `objects` | keys, pools, models, problems, and the rest of what is shown |
//! | `requests` | the history: filters, pages, one row, live |
//! | `numbers` | sums over the history |
//! | `document` | an answer is what the OpenAPI document says |
//! | `harness` | the API, and somebody who calls it |

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be had is the failure")]

#[path = "api/access.rs"]
mod access;
#[path = "api/accounts.rs"]
mod accounts;
#[path = "api/document.rs"]
mod document;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/numbers.rs"]
mod numbers;
#[path = "api/objects.rs"]
mod objects;
#[path = "api/people.rs"]
mod people;
#[path = "api/requests.rs"]
mod requests;
#[path = "history/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the history, which use all of it")]
mod support;
