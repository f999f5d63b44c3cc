//! The accounts: a credential each, with limits that count and a cache that remembers prompts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use http::HeaderMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    answer::{Usage, tokens},
    ask::Ask,
    limits::{AccountKind, LimitSpec, Limits, Readings, Refusal, WindowLengths},
    route::Dialect,
};

/// What is asked for without a credential.
const NOBODY: &str = "";
/// Prompts an account's cache remembers; then it forgets all.
const MOST_PROMPTS: usize = 10_000;
/// `OpenAI` caches from here on, in steps of 128.
const CACHED_FROM: u64 = 1_024;

/// All accounts seen so far, and those configured.
#[derive(Debug)]
pub struct Accounts {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug)]
struct Table {
    accounts: HashMap<String, Account>,
    usual: LimitSpec,
    lengths: WindowLengths,
    /// Only what is in the table is served.
    closed: bool,
}

#[derive(Debug)]
struct Account {
    limits: Limits,
    organization: String,
    prompts: HashSet<[u8; 32]>,
    requests: u64,
    in_flight: u64,
    most_in_flight: u64,
    own_limits: bool,
}

/// An account as the control interface shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The header family it gets.
    pub kind: AccountKind,
    /// Requests received, refused ones included.
    pub requests: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// The most requests that were under way at once.
    pub most_in_flight: u64,
    /// What is configured.
    pub limits: LimitSpec,
    /// The windows.
    pub windows: Readings,
}

/// What an answer needs to know of its account.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) kind: AccountKind,
    pub(crate) organization: String,
    pub(crate) readings: Readings,
    pub(crate) family: Option<String>,
}

/// A request under way on an account; counted until dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    table: Arc<Mutex<Table>>,
    credential: String,
}

/// The credential of a request: the value of `authorization: Bearer`, else of `x-api-key`.
pub(crate) fn credential(headers: &HeaderMap) -> &str {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Anthropic prefers the key when both are sent.
    let key = text("x-api-key");
    let bearer = text("authorization").and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(rest)
    });
    key.or(bearer).unwrap_or(NOBODY)
}

impl Accounts {
    /// The accounts configured; `closed` refuses all others.
    pub(crate) fn new(
        own: BTreeMap<String, Option<LimitSpec>>,
        usual: LimitSpec,
        lengths: WindowLengths,
        closed: bool,
    ) -> Self {
        let mut table = Table { accounts: HashMap::new(), usual, lengths, closed };
        for (credential, spec) in own {
            table.insert(&credential, spec);
        }
        Self { table: Arc::new(Mutex::new(table)) }
    }

    /// Counts a request in; `None` if the credential is unknown.
    pub(crate) fn enter(&self, credential: &str) -> Option<InFlight> {
        let mut table = self.table.lock();
        if table.closed && !table.accounts.contains_key(credential) {
            return None;
        }
        let account = table.open(credential);
        account.requests += 1;
        account.in_flight += 1;
        account.most_in_flight = account.most_in_flight.max(account.in_flight);
        Some(InFlight { table: Arc::clone(&self.table), credential: credential.to_owned() })
    }

    /// What an answer to this credential needs to know.
    pub(crate) fn sight(&self, credential: &str, now: Timestamp) -> Sight {
        let table = self.table.lock();
        let fresh = table.account(credential);
        let account = table.accounts.get(credential).unwrap_or(&fresh);
        let spec = account.limits.spec();
        Sight {
            kind: spec.kind_of(credential),
            organization: account.organization.clone(),
            readings: account.limits.read(now),
            family: spec.model_window.as_ref().map(|window| window.model.clone()),
        }
    }

    /// Charges a request to its windows.
    pub(crate) fn admit(
        &self,
        credential: &str,
        now: Timestamp,
        model: &str,
        cost: u64,
    ) -> Result<(), Refusal> {
        self.table.lock().open(credential).limits.admit(now, model, cost)
    }

    /// What the prompt costs: the part before the conversation is read from the cache if this account saw it
    /// before.
    pub(crate) fn prompt_usage(&self, credential: &str, dialect: Dialect, ask: &Ask<'_>) -> Usage {
        let input = ask.tokens();
        let (parts, cacheable) = match dialect {
            Dialect::Anthropic => (["system", "tools"], ask.mentions("\"cache_control\"")),
            Dialect::OpenAi | Dialect::Responses | Dialect::Codex => (["instructions", "tools"], true),
        };
        let prefix = parts.map(|part| ask.raw(part).unwrap_or_default());
        let size = tokens(prefix.iter().map(|part| part.len()).sum()).min(input);
        let size = if dialect == Dialect::Anthropic { size } else { size / 128 * 128 };
        if !cacheable || size == 0 || (dialect != Dialect::Anthropic && size < CACHED_FROM) {
            return Usage { input, ..Usage::default() };
        }
        let mut digest = Sha256::new_with_prefix(ask.model());
        for part in prefix {
            digest.update(part);
        }
        let known = self.table.lock().open(credential).saw(digest.finalize().into());
        let writes = dialect == Dialect::Anthropic && !known;
        Usage {
            input,
            cache_read: if known { size } else { 0 },
            cache_write: if writes { size } else { 0 },
            ..Usage::default()
        }
    }

    /// Every account.
    pub fn statuses(&self, now: Timestamp) -> BTreeMap<String, Status> {
        let table = self.table.lock();
        let status = |(credential, account): (&String, &Account)| {
            let limits = account.limits.spec().clone();
            let status = Status {
                kind: limits.kind_of(credential),
                requests: account.requests,
                in_flight: account.in_flight,
                most_in_flight: account.most_in_flight,
                limits,
                windows: account.limits.read(now),
            };
            (credential.clone(), status)
        };
        table.accounts.iter().map(status).collect()
    }

    /// Gives an account limits of its own, with fresh windows.
    pub fn limit(&self, credential: &str, spec: LimitSpec) {
        self.table.lock().insert(credential, Some(spec));
    }

    /// Sets the limits of all accounts that have none of their own, with fresh windows.
    pub fn limit_others(&self, spec: LimitSpec) {
        let mut table = self.table.lock();
        let lengths = table.lengths;
        for account in table.accounts.values_mut().filter(|account| !account.own_limits) {
            account.limits = Limits::new(spec.clone(), lengths);
        }
        table.usual = spec;
    }

    /// Starts the windows of one account anew, or of all; counters and caches too.
    pub fn reset(&self, credential: Option<&str>) {
        for (name, account) in &mut self.table.lock().accounts {
            if credential.is_none_or(|credential| credential == name) {
                account.limits.reset();
                account.prompts.clear();
                (account.requests, account.most_in_flight) = (0, account.in_flight);
            }
        }
    }
}

impl Table {
    fn open(&mut self, credential: &str) -> &mut Account {
        if !self.accounts.contains_key(credential) {
            self.insert(credential, None);
        }
        self.accounts.get_mut(credential).expect("it was just inserted")
    }

    fn insert(&mut self, credential: &str, spec: Option<LimitSpec>) {
        let own_limits = spec.is_some();
        let limits = Limits::new(spec.unwrap_or_else(|| self.usual.clone()), self.lengths);
        if let Some(account) = self.accounts.get_mut(credential) {
            (account.limits, account.own_limits) = (limits, own_limits);
        } else {
            let account = Account { limits, own_limits, ..self.account(credential) };
            self.accounts.insert(credential.to_owned(), account);
        }
    }

    fn account(&self, credential: &str) -> Account {
        let digest: [u8; 32] = Sha256::digest(credential).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Account {
            limits: Limits::new(self.usual.clone(), self.lengths),
            organization: uuid::Builder::from_random_bytes(bytes).into_uuid().to_string(),
            prompts: HashSet::new(),
            requests: 0,
            in_flight: 0,
            most_in_flight: 0,
            own_limits: false,
        }
    }
}

impl Account {
    /// Whether the cache knew this prompt; it does from now on.
    fn saw(&mut self, prompt: [u8; 32]) -> bool {
        if self.prompts.len() >= MOST_PROMPTS {
            self.prompts.clear();
        }
        !self.prompts.insert(prompt)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(account) = self.table.lock().accounts.get_mut(&self.credential) {
            account.in_flight -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(closed: bool) -> Accounts {
        let config = crate::Config::default();
        let own = BTreeMap::from([("sk-one".to_owned(), None)]);
        Accounts::new(own, config.limits(), config.window_lengths(), closed)
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_credential_is_read_from_either_header() {
        assert_eq!(credential(&headers(&[("authorization", "bearer sk-a")])), "sk-a");
        assert_eq!(credential(&headers(&[("authorization", "Basic xyz"), ("x-api-key", "sk-b")])), "sk-b");
        assert_eq!(credential(&headers(&[("authorization", "Basi")])), "");
        assert_eq!(credential(&headers(&[])), "");
    }

    #[test]
    fn concurrency_is_counted_until_a_request_ends() {
        let accounts = accounts(false);
        let (one, two) = (accounts.enter("sk-two"), accounts.enter("sk-two"));
        drop(one);
        let status = &accounts.statuses(Timestamp::now())["sk-two"];
        assert_eq!((status.requests, status.in_flight, status.most_in_flight), (2, 1, 2));
        drop(two);
        assert_eq!(accounts.statuses(Timestamp::now())["sk-two"].in_flight, 0);
    }

    #[test]
    fn closed_accounts_serve_only_known_credentials() {
        assert!(accounts(true).enter("sk-one").is_some());
        assert!(accounts(true).enter("sk-two").is_none());
    }

    #[test]
    fn a_prompt_is_written_to_the_cache_once_and_then_read() {
        let accounts = accounts(false);
        let body =
            br#"{"model":"m","system":[{"type":"text","text":"long","cache_control":{"type":"ephemeral"}}]}"#;
        let ask = Ask::parse(body).unwrap();
        let usage = |key| accounts.prompt_usage(key, Dialect::Anthropic, &ask);
        let first = usage("sk-one");
        assert!(first.cache_write > 0 && first.cache_read == 0);
        let second = usage("sk-one");
        assert_eq!((second.cache_read, second.cache_write), (first.cache_write, 0));
        assert_eq!(usage("sk-two").cache_read, 0);
        assert_eq!(first.input, tokens(body.len()));
    }
}
