//! Identifiers in the providers' forms, the same for the same seed and serial number.

use rand::{Rng, SeedableRng, rngs::SmallRng};

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &[u8] = b"0123456789abcdef";

/// The source of everything random in one answer.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    rng: SmallRng,
}

impl Ids {
    /// For the answer with this number.
    pub(crate) fn new(seed: u64, serial: u64) -> Self {
        Self { rng: SmallRng::seed_from_u64(seed.rotate_left(32) ^ serial) }
    }

    /// `req_011C…`, as Anthropic's.
    pub(crate) fn anthropic_request(&mut self) -> String {
        self.token("req_011C", BASE58, 20)
    }

    /// `msg_01…`
    pub(crate) fn message(&mut self) -> String {
        self.token("msg_01", BASE58, 22)
    }

    /// `toolu_01…`
    pub(crate) fn tool_use(&mut self) -> String {
        self.token("toolu_01", BASE58, 22)
    }

    /// `req_…`, as `OpenAI`'s.
    pub(crate) fn openai_request(&mut self) -> String {
        self.token("req_", HEX, 32)
    }

    /// `chatcmpl-…`
    pub(crate) fn completion(&mut self) -> String {
        self.token("chatcmpl-", BASE62, 29)
    }

    /// `call_…`
    pub(crate) fn call(&mut self) -> String {
        self.token("call_", BASE62, 24)
    }

    /// An object of the Responses API: `resp_…`, `msg_…`, `fc_…`, `rs_…`, `cmp_…`.
    pub(crate) fn item(&mut self, kind: &str) -> String {
        self.token(&format!("{kind}_"), HEX, 50)
    }

    /// Something only the provider can read: a signature, encrypted reasoning.
    pub(crate) fn opaque(&mut self, prefix: &str) -> String {
        self.token(prefix, BASE62, 180)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.rng.random_range(0..limit)
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    fn token(&mut self, prefix: &str, alphabet: &[u8], length: usize) -> String {
        let mut token = String::with_capacity(prefix.len() + length);
        token.push_str(prefix);
        for _ in 0..length {
            token.push(char::from(alphabet[self.rng.random_range(0..alphabet.len())]));
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_serial_make_the_same_ids() {
        let ids = |seed, serial| Ids::new(seed, serial).message();
        assert_eq!(ids(1, 7), ids(1, 7));
        assert_ne!(ids(1, 7), ids(1, 8));
        assert_ne!(ids(1, 7), ids(2, 7));
        assert!(ids(1, 7).starts_with("msg_01") && ids(1, 7).len() == 28);
    }
}
