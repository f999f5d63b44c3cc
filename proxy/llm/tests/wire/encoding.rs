//! Compressed bodies.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use penstock_llm::encoding::{DecodeError, Decoder, decode_body};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::samples::chunks;

const CAP: usize = 1 << 20;

/// `{"model":"gpt-5","input":"…"}` with 40 times "hello ", as the reference encoder for brotli wrote it.
const BROTLI: &[u8] = include_bytes!("hello.br");

fn text() -> String {
    format!(r#"{{"model":"gpt-5","input":"{}"}}"#, "hello ".repeat(40))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn all(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(bytes)),
        ("x-gzip", gzip(bytes)),
        ("deflate", zlib(bytes)),
        ("deflate", raw(bytes)),
        ("zstd", zstd(bytes)),
        ("gzip, zstd", zstd(&gzip(bytes))),
        ("GZIP , identity", gzip(bytes)),
    ]
}

fn decode(encoding: &str, body: &[u8]) -> Result<Bytes, DecodeError> {
    decode_body(encoding, &Bytes::copy_from_slice(body), CAP)
}

#[test]
fn every_coding_is_decoded() {
    for (encoding, packed) in all(text().as_bytes()) {
        assert_eq!(decode(encoding, &packed).unwrap(), text(), "{encoding}");
    }
    assert_eq!(decode("br", BROTLI).unwrap(), text());
    for none in ["", "identity"] {
        assert_eq!(decode(none, b"{}").unwrap(), "{}");
    }
    let members = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(decode("gzip", &members).unwrap(), "one two");
    let frames = [zstd(b"one "), b"\x50\x2A\x4D\x18\x03\x00\x00\x00abc".to_vec(), zstd(b"two")].concat();
    assert_eq!(decode("zstd", &frames).unwrap(), "one two");
}

#[test]
fn an_unknown_coding_is_unsupported_and_a_wrong_one_is_bad() {
    assert!(matches!(decode("lzma", b"x"), Err(DecodeError::Unsupported(name)) if name == "lzma"));
    assert!(matches!(decode("gzip, gzip, gzip, gzip", b""), Err(DecodeError::Unsupported(_))));
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        assert!(
            matches!(decode(encoding, b"{\"model\":\"gpt-5\"}"), Err(DecodeError::Bad { .. })),
            "{encoding}"
        );
    }
}

#[test]
fn a_body_that_was_cut_is_bad() {
    let long: String = (0..3000).map(|n| format!("{n} ")).collect();
    for (encoding, packed) in all(long.as_bytes()) {
        let cut = &packed[..packed.len() / 2];
        assert!(matches!(decode(encoding, cut), Err(DecodeError::Bad { .. })), "{encoding}");
    }
    assert!(matches!(decode("br", &BROTLI[..BROTLI.len() / 2]), Err(DecodeError::Bad { .. })));
}

#[test]
fn what_decodes_to_more_than_the_cap_is_too_large() {
    let zeros = vec![b'0'; 4 * CAP];
    for (encoding, packed) in all(&zeros) {
        assert!(matches!(decode(encoding, &packed), Err(DecodeError::TooLarge(CAP))), "{encoding}");
    }
}

#[test]
fn a_zstd_frame_with_a_checksum_is_read_whatever_pieces_it_comes_in_and_is_bad_when_it_is_cut() {
    // RFC 8878 section 3.1.1: the header (one segment, a checksum, a size of 5), one raw block, four bytes of checksum.
    let frame = [&b"\x28\xB5\x2F\xFD\x24\x05\x29\x00\x00hello"[..], b"\x01\x02\x03\x04"].concat();
    for cut in 0..frame.len() {
        let (start, rest) = frame.split_at(cut);
        assert!(decode("zstd", start).is_err() || start.is_empty(), "the first {cut} bytes");
        let (mut decoder, mut plain) = (Decoder::new("zstd").unwrap().unwrap(), Vec::new());
        for piece in [start, rest] {
            decoder.push(piece, CAP, |piece| plain.extend_from_slice(piece)).unwrap();
        }
        assert_eq!(plain, b"hello", "{cut}");
    }
}

#[test]
fn a_coding_without_its_header_is_known_by_its_first_bytes() {
    for packed in [gzip(b"hello"), zstd(b"hello")] {
        let mut plain = Vec::new();
        Decoder::sniff(&packed).unwrap().push(&packed, CAP, |piece| plain.extend_from_slice(piece)).unwrap();
        assert_eq!(plain, b"hello");
    }
    assert!(Decoder::sniff(b"{}").is_none());
}

#[test]
fn what_went_in_comes_out_before_the_end() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"data: 1\n\n").unwrap();
    encoder.flush().unwrap();
    let mut decoder = Decoder::new("gzip").unwrap().unwrap();
    let mut plain = Vec::new();
    decoder.push(encoder.get_ref(), CAP, |piece| plain.extend_from_slice(piece)).unwrap();
    assert_eq!(plain, b"data: 1\n\n");
    assert!(decoder.is_prompt());
}

proptest! {
    #[test]
    fn chunks_do_not_matter(
        bytes in prop::collection::vec(0_u8..40, 0..3000),
        sizes in prop::collection::vec(1_usize..300, 1..20),
    ) {
        for (encoding, packed) in all(&bytes) {
            let mut decoder = Decoder::new(encoding).unwrap().unwrap();
            let mut plain = Vec::new();
            for chunk in chunks(&packed, &sizes) {
                decoder.push(chunk, CAP, |piece| plain.extend_from_slice(piece)).unwrap();
            }
            prop_assert_eq!(&plain, &bytes, "{}", encoding);
        }
    }

    #[test]
    fn damaged_bodies_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 1..400),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for (encoding, mut packed) in all(&bytes).into_iter().chain([("br", BROTLI.to_vec())]) {
            let at = at.index(packed.len());
            packed[at] = byte;
            let _ = decode(encoding, &packed);
        }
        for encoding in ["gzip", "deflate", "br", "zstd", "br, zstd"] {
            let _ = decode(encoding, &bytes);
        }
    }
}
