//! The pool as a whole: select, classify, attempt and learn together, under a clock of the test's.

mod laws;
mod properties;
mod robustness;
mod scenarios;
mod simulation;
mod support;
