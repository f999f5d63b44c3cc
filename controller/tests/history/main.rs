//! The history on a real Postgres, which the tests start themselves.
//!
//! | module | what it proves |
//! |---|---|
//! | `storing` | exactly once, whatever is replayed and whoever writes |
//! | `sums` | the roll-ups equal a recount of the rows |
//! | `budgets` | what was spent, from the sums, as far as the published plan |
//! | `days` | partitions and retention |
//! | `questions` | filters, pages, statistics, analytics |
//! | `company` | several controllers on one database: who is there, and live views of all of them |
//! | `tls` | a Postgres with TLS, and whom it is believed to be |
//! | `queue` | acknowledged after the commit, refused when the database is away |
//! | `private_postgres` | killed, left over, in use, of another version |
//! | `support` | one Postgres for all, a database for each test, and events |

mod budgets;
mod company;
mod days;
mod private_postgres;
mod questions;
mod queue;
mod storing;
mod sums;
mod support;
mod tls;
