//! A token of the cluster as a session: sealed, so that only a controller of this installation can read it from the
//! cookie, and any of them can. It ends when the token does, since the API server is asked about it again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use penstock_proto::secret::Secret;
use rand::RngCore;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

/// Tells the cookie from a session of the admin token.
const PREFIX: &str = "sealed.";
/// A browser keeps 4,096 bytes of a cookie with its name; base64 makes 4 of 3.
const LONGEST: usize = 2_900;
const END: usize = 8;
/// What the key is for, so that what is signed with the same token is of no use here.
const PURPOSE: &[u8] = b"penstock sealed session";

/// Seals and opens. One for each admin token.
pub(super) struct Seal(LessSafeKey);

impl Seal {
    /// With a key made from this one.
    pub(super) fn new(signing: &hmac::Key) -> Self {
        let key = hmac::sign(signing, PURPOSE);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_ref());
        Self(LessSafeKey::new(key.expect("HMAC-SHA256 makes as many bytes as this cipher takes")))
    }

    /// `None`: the token is too long for a cookie.
    pub(super) fn close(&self, token: &str, until: Timestamp) -> Option<String> {
        if token.len() > LONGEST {
            return None;
        }
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = [&until.as_second().to_be_bytes(), token.as_bytes()].concat();
        let place = Aad::from(PURPOSE);
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place, &mut sealed).ok()?;
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())))
    }

    /// The token; `None`: nothing was sealed here, or it has ended.
    pub(super) fn open(&self, cookie: &str, now: Timestamp) -> Option<Secret> {
        let mut sealed = URL_SAFE_NO_PAD.decode(cookie.strip_prefix(PREFIX)?).ok()?;
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.0.open_in_place(nonce, Aad::from(PURPOSE), sealed).ok()?;
        let (until, token) = opened.split_at_checked(END)?;
        let until = Timestamp::from_second(i64::from_be_bytes(until.try_into().ok()?)).ok()?;
        let token = std::str::from_utf8(token).ok()?;
        (now < until).then(|| Secret::new(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: &str) -> Seal {
        Seal::new(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))
    }

    #[test]
    fn a_token_comes_back_from_its_cookie_at_every_replica_until_the_session_ends() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let until = now + jiff::SignedDuration::from_hours(1);
        let cookie = seal("k").close("ey.jwt.token", until).unwrap();
        assert!(!cookie.contains("token"));
        let opened =
            |key, cookie: &str, now| seal(key).open(cookie, now).map(|token| token.expose().to_owned());
        assert_eq!(opened("k", &cookie, now).as_deref(), Some("ey.jwt.token"));
        assert_eq!(opened("k", &cookie, until), None);
        assert_eq!(opened("another", &cookie, now), None);
        let last = cookie.len() - 3;
        let changed = format!("{}A{}", &cookie[..last], &cookie[last + 1..]);
        assert!(changed == cookie || opened("k", &changed, now).is_none());
        for odd in ["", "sealed.", "sealed.AAAA", "1.2.3"] {
            assert_eq!(opened("k", odd, now), None, "{odd:?}");
        }
    }

    #[test]
    fn what_a_browser_would_cut_is_not_put_into_a_cookie() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(seal("k").close(&"x".repeat(LONGEST), now).unwrap().len() < 4_000);
        assert_eq!(seal("k").close(&"x".repeat(LONGEST + 1), now), None);
    }
}
