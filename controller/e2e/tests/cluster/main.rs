//! The cluster for tests keeps its own promises.
//!
//! | module | what it proves |
//! |---|---|
//! | `works` | pods, Services, names, tokens, logs; the machine and the cluster reach each other |
//! | `images` | applications with the real SDKs run, without root and without a file system to write to |
//! | `vanishes` | nothing is left behind, however a test ends |

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod images;
mod vanishes;
mod works;
