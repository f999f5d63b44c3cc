//! Which conversation a request belongs to, and which account each recent conversation is on.
//! The key is a plain hash without a secret, so that it is the same in every proxy.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use penstock_llm::request::Asked;
use penstock_proto::ids::AccountId;
use sha2::{Digest, Sha256};

use crate::directives;
use crate::headers::Headers;

/// Conversations remembered. A busy gateway has some thousands an hour; an entry is about 100 bytes, so
/// all of them are about 1 MiB.
pub const CAPACITY: usize = 10_000;

/// How much of each text of the opening goes into the hash: what is the same in the first 4 KiB and in
/// length is the same opening.
const HASHED: usize = 4096;

/// A conversation, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u128);

/// What a request tells of its conversation.
#[derive(Debug, Clone, Copy)]
pub struct Hints<'a> {
    /// The client's headers.
    pub headers: &'a Headers,
    /// Whose accounts are used: the same words in two namespaces are two conversations.
    pub namespace: &'a str,
    /// The caller, where nothing names the conversation: its key or pod.
    pub caller: &'a str,
    /// What the body asks for; `None` without a readable body.
    pub asked: Option<&'a Asked>,
    /// The body that `asked` was read from.
    pub body: &'a [u8],
}

/// The account of each recent conversation. Bounded; the longest idle are forgotten first.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    held: HashMap<SessionKey, Place>,
}

/// Where a conversation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its account.
    pub account: AccountId,
    /// Whether it is there because another account could not serve it.
    pub moved: bool,
    used_at: Timestamp,
}

impl SessionKey {
    /// As written into history: 32 hex digits.
    pub fn to_hex(self) -> String {
        let mut digits = [0; uuid::fmt::Simple::LENGTH];
        uuid::Uuid::from_u128(self.0).simple().encode_lower(&mut digits).to_owned()
    }
}

/// The key of a request's conversation; `None` when nothing in the request tells one.
pub fn session_key(hints: &Hints<'_>) -> Option<SessionKey> {
    let header = |name: &str| hints.headers.get(name).map(<[u8]>::trim_ascii);
    let named = |names: &[&str]| names.iter().find_map(|name| header(name)).filter(|value| !value.is_empty());
    let text = |value: &'_ Option<String>| value.clone().filter(|value| !value.is_empty());
    let body = || {
        let asked = hints.asked?;
        text(&asked.user_id).or_else(|| text(&asked.prompt_cache_key))
    };
    if let Some(name) = named(&[directives::SESSION, "x-claude-code-session-id"]) {
        return Some(hash(&[hints.namespace.as_bytes(), name]));
    }
    if let Some(name) = body() {
        return Some(hash(&[hints.namespace.as_bytes(), name.as_bytes()]));
    }
    let spellings = ["session_id", "session-id", "thread-id", "conversation_id", "conversation-id"];
    if let Some(name) = named(&spellings) {
        return Some(hash(&[hints.namespace.as_bytes(), name]));
    }
    if let Some(name) = hints.asked.and_then(|asked| text(&asked.conversation)) {
        return Some(hash(&[hints.namespace.as_bytes(), name.as_bytes()]));
    }
    opening(hints)
}

/// A conversation that nothing names: who speaks, to which model, and how it began.
fn opening(hints: &Hints<'_>) -> Option<SessionKey> {
    let asked = hints.asked.filter(|asked| !asked.opening.is_empty())?;
    let model = asked.model.as_ref().map_or("", |model| model.value.as_str());
    let mut parts = vec![hints.namespace.as_bytes(), hints.caller.as_bytes(), model.as_bytes()];
    let texts: Vec<_> = asked.opening.parts(hints.body).collect();
    let lengths: Vec<_> = texts.iter().map(|text| text.len().to_le_bytes()).collect();
    for (text, length) in texts.iter().zip(&lengths) {
        parts.push(length);
        parts.push(&text[..text.len().min(HASHED)]);
    }
    Some(hash(&parts))
}

fn hash(parts: &[&[u8]]) -> SessionKey {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
        hasher.update([0]);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize()[..16]);
    SessionKey(u128::from_be_bytes(first))
}

impl Sessions {
    /// Where a conversation is, unless it has been idle for `ttl`.
    pub fn place(&self, key: SessionKey, ttl: Duration, now: Timestamp) -> Option<&Place> {
        let idle = |place: &&Place| now.duration_since(place.used_at);
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        self.held.get(&key).filter(|place| idle(place) < ttl)
    }

    /// Puts a conversation on an account, or keeps it there.
    pub fn put(&mut self, key: SessionKey, account: &AccountId, moved: bool, now: Timestamp) {
        if let Some(place) = self.held.get_mut(&key) {
            place.used_at = now;
            place.moved = moved;
            if place.account != *account {
                place.account = account.clone();
            }
            return;
        }
        if self.held.len() >= CAPACITY {
            self.forget_longest_idle();
        }
        self.held.insert(key, Place { account: account.clone(), moved, used_at: now });
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Forgets a quarter at once, so that the work is shared by the many requests until it is full again.
    fn forget_longest_idle(&mut self) {
        let mut times: Vec<_> = self.held.values().map(|place| place.used_at).collect();
        let at = times.len() / 4;
        let (_, cut, _) = times.select_nth_unstable(at);
        let cut = *cut;
        self.held.retain(|_, place| place.used_at > cut);
    }
}

#[cfg(test)]
mod tests {
    use penstock_llm::request::scan;
    use penstock_proto::dialect::Dialect;

    use super::*;

    fn key(headers: &[(&'static str, &str)], body: &str) -> Option<SessionKey> {
        key_of(headers, body, "caller")
    }

    fn key_of(headers: &[(&'static str, &str)], body: &str, caller: &str) -> Option<SessionKey> {
        let headers = headers.iter().copied().collect();
        let asked = scan(Some(Dialect::AnthropicMessages), body.as_bytes()).ok();
        let body = body.as_bytes();
        session_key(&Hints { headers: &headers, namespace: "llm", caller, asked: asked.as_ref(), body })
    }

    const BODY: &str = r#"{"model":"m","metadata":{"user_id":"u"},"prompt_cache_key":"p"}"#;

    #[test]
    fn the_first_hint_in_order_names_the_conversation() {
        let all = [("x-penstock-session", "a"), ("x-claude-code-session-id", "b"), ("session_id", "c")];
        assert_eq!(key(&all, BODY), key(&[("x-claude-code-session-id", "a")], "{}"));
        assert_eq!(key(&all[1..], BODY), key(&[("x-penstock-session", "b")], "{}"));
        assert_eq!(key(&all[2..], BODY), key(&[("x-penstock-session", "u")], "{}"));
        let without_user = r#"{"model":"m","prompt_cache_key":"p"}"#;
        assert_eq!(key(&all[2..], without_user), key(&[("x-penstock-session", "p")], "{}"));
        for name in ["session_id", "session-id", "thread-id", "conversation_id", "conversation-id"] {
            assert_eq!(key(&[(name, "c")], "{}"), key(&[("x-penstock-session", "c")], "{}"), "{name}");
        }
        assert_eq!(key(&[], "{}"), None);
        assert_eq!(key(&[("x-penstock-session", "")], "{}"), None);
    }

    #[test]
    fn without_a_name_the_opening_is_the_conversation_whatever_follows() {
        let first = r#"{"model":"m","system":"s","messages":[{"role":"user","content":"hello"}]}"#;
        let second = r#"{"model":"m","system":"s","messages":[{"role":"user","content":"hello"},
            {"role":"assistant","content":"hi"},{"role":"user","content":"more"}]}"#;
        let other = r#"{"model":"m","system":"s","messages":[{"role":"user","content":"good day"}]}"#;
        assert_eq!(key(&[], first), key(&[], second));
        assert_ne!(key(&[], first), key(&[], other));
        assert_ne!(key(&[], first), key_of(&[], first, "another caller"));
        assert!(key(&[], first).is_some());
    }

    #[test]
    fn a_conversation_is_forgotten_once_it_was_idle_for_its_ttl() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        let account: AccountId = "llm/a".parse().unwrap();
        let ttl = Duration::from_secs(60);
        let mut sessions = Sessions::default();
        sessions.put(SessionKey(1), &account, false, at(0));
        sessions.put(SessionKey(1), &account, false, at(59));
        assert!(sessions.place(SessionKey(1), ttl, at(118)).is_some());
        assert!(sessions.place(SessionKey(1), ttl, at(119)).is_none());
    }

    #[test]
    fn when_full_the_longest_idle_are_forgotten_first() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let account: AccountId = "llm/a".parse().unwrap();
        let mut sessions = Sessions::default();
        for n in 0..=CAPACITY {
            let at = start + SignedDuration::from_millis(i64::try_from(n).unwrap());
            sessions.put(SessionKey(n as u128), &account, false, at);
        }
        assert!(sessions.len() <= CAPACITY);
        let ttl = Duration::from_hours(1);
        let now = start + SignedDuration::from_mins(1);
        assert!(sessions.place(SessionKey(0), ttl, now).is_none());
        assert!(sessions.place(SessionKey(CAPACITY as u128), ttl, now).is_some());
    }
}
