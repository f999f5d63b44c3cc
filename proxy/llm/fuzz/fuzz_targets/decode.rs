//! No compressed body panics a decoder or decodes to more than the cap.
#![no_main]

use libfuzzer_sys::fuzz_target;
use penstock_llm::encoding::decode_body;

const CAP: usize = 1 << 16;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let encodings = ["gzip", "deflate", "br", "zstd", "br, gzip", "zstd, zstd"];
    let encoding = encodings[usize::from(input.0) % encodings.len()];
    if let Ok(decoded) = decode_body(encoding, &bytes::Bytes::from(input.1), CAP) {
        assert!(decoded.len() <= CAP);
    }
});
