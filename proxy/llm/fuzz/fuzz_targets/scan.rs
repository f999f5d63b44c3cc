//! `laws::scan`, driven by libFuzzer.
#![no_main]

#[path = "../laws.rs"]
#[allow(dead_code, reason = "each target drives one law")]
mod laws;

libfuzzer_sys::fuzz_target!(|body: &[u8]| laws::scan(body));
