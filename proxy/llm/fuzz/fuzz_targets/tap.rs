//! `laws::tap`, driven by libFuzzer.
#![no_main]

#[path = "../laws.rs"]
#[allow(dead_code, reason = "each target drives one law")]
mod laws;

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<u8>)| laws::tap(input.0, &input.1));
