//! `laws::lines`, driven by libFuzzer.
#![no_main]

#[path = "../laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|lines: &[u8]| laws::lines(lines));
