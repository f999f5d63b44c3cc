//! Which rows a question is about, and the SQL condition that says so.
//!
//! Values always travel as parameters, never as part of the SQL text.

use jiff::Timestamp;
use penstock_proto::event::Ending;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::day::first_id_at;

/// Narrows a question. Everything that is set must hold; empty = no condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestFilter {
    /// Received at this instant or later (to the millisecond).
    pub from: Option<Timestamp>,
    /// Received before this instant (to the millisecond).
    pub to: Option<Timestamp>,
    /// `namespace/name` of any of these accounts.
    pub accounts: Vec<String>,
    /// Any of these providers.
    pub providers: Vec<String>,
    /// Any of these models, as asked, sent or answered.
    pub models: Vec<String>,
    /// What the client was answered.
    pub status: Option<StatusFilter>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// The caller's namespace.
    pub namespace: Option<String>,
    /// Only callers of these namespaces; `None` = of any, and of none.
    pub callers_in: Option<Vec<String>>,
    /// The caller's `ServiceAccount`.
    pub service_account: Option<String>,
    /// Name of the caller's client key.
    pub key: Option<String>,
    /// Hash of the affinity key.
    pub session: Option<String>,
    /// An id, the beginning of one, or part of the path.
    pub search: Option<String>,
}

/// Which answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Exactly this status.
    Code(u16),
    /// 4 = 400 to 499 and so on.
    Class(u8),
    /// Answered completely, without an error.
    Success,
    /// Answered with an error, or cut.
    Error,
}

impl StatusFilter {
    /// Reads `429`, `4xx`, `success` or `error`; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "success" => Some(Self::Success),
            "error" => Some(Self::Error),
            _ => match text.strip_suffix("xx") {
                Some(class) => class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class),
                None => text.parse().ok().filter(|code| *code < 1000).map(Self::Code),
            },
        }
    }
}

type Param = Box<dyn ToSql + Sync + Send>;

/// A growing `WHERE` clause with its parameters.
#[derive(Default)]
pub(super) struct Conditions {
    clauses: Vec<String>,
    params: Vec<Param>,
}

impl Conditions {
    /// Adds a condition; every `?` in it stands for `value`.
    pub(super) fn add(&mut self, clause: &str, value: impl ToSql + Sync + Send + 'static) {
        let number = self.bind(value);
        self.clauses.push(clause.replace('?', &number));
    }

    /// Adds a condition without a value.
    pub(super) fn add_plain(&mut self, clause: &str) {
        self.clauses.push(clause.to_owned());
    }

    /// Takes a value and says how the SQL text names it.
    pub(super) fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.params.push(Box::new(value));
        format!("${}", self.params.len())
    }

    /// `WHERE …`, or nothing.
    pub(super) fn sql(&self) -> String {
        if self.clauses.is_empty() {
            return String::new();
        }
        format!("WHERE {}", self.clauses.join(" AND "))
    }

    /// The values, in the order of their numbers.
    pub(super) fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.params.iter().map(|param| -> &(dyn ToSql + Sync) { param.as_ref() }).collect()
    }
}

impl RequestFilter {
    /// The conditions on the table of rows.
    pub(super) fn on_rows(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(from) = self.from {
            conditions.add("id >= ?", first_id_at(from));
        }
        if let Some(to) = self.to {
            conditions.add("id < ?", first_id_at(to));
        }
        if !self.models.is_empty() {
            let models = self.models.clone();
            conditions
                .add("(model_asked = ANY(?) OR model_sent = ANY(?) OR model_answered = ANY(?))", models);
        }
        if let Some(session) = &self.session {
            conditions.add("session <> '' AND session = ?", session.clone());
        }
        if let Some(search) = self.search.as_deref().filter(|search| !search.is_empty()) {
            add_search(&mut conditions, search);
        }
        self.add_common(&mut conditions);
        conditions
    }

    /// The conditions on a roll-up table, which has no sessions, paths or ids; its time column is left
    /// to the caller.
    pub(super) fn on_rollup(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if !self.models.is_empty() {
            conditions.add("model = ANY(?)", self.models.clone());
        }
        self.add_common(&mut conditions);
        conditions
    }

    fn add_common(&self, conditions: &mut Conditions) {
        if let Some(status) = self.status {
            add_status(conditions, status);
        }
        if let Some(ending) = self.ending {
            conditions.add("ending = ?", ending.as_label());
        }
        if !self.accounts.is_empty() {
            conditions.add("account = ANY(?)", self.accounts.clone());
        }
        if !self.providers.is_empty() {
            conditions.add("provider = ANY(?)", self.providers.clone());
        }
        if let Some(namespaces) = &self.callers_in {
            conditions.add("caller_namespace = ANY(?)", namespaces.clone());
        }
        let caller = [
            ("caller_namespace = ?", &self.namespace),
            ("caller_service_account = ?", &self.service_account),
            ("caller_key = ?", &self.key),
        ];
        for (clause, value) in caller {
            if let Some(value) = value {
                conditions.add(clause, value.clone());
            }
        }
    }
}

fn add_status(conditions: &mut Conditions, status: StatusFilter) {
    // `failed` is said although it follows, so that the index of failed rows can be used.
    match status {
        StatusFilter::Success => conditions.add_plain("ending = 'complete' AND NOT failed"),
        StatusFilter::Error => conditions.add_plain("failed"),
        StatusFilter::Code(code) => {
            if code >= 400 {
                conditions.add_plain("failed");
            }
            conditions.add("status = ?", i16::try_from(code).unwrap_or(i16::MAX));
        }
        StatusFilter::Class(class) => {
            if class >= 4 {
                conditions.add_plain("failed");
            }
            conditions.add("status / 100 = ?", i32::from(class));
        }
    }
}

fn add_search(conditions: &mut Conditions, search: &str) {
    match ids_beginning_with(search) {
        Some((first, last)) => {
            conditions.add("id >= ?", first);
            conditions.add("id <= ?", last);
        }
        None => conditions.add("position(lower(?) in lower(path)) > 0", search.to_owned()),
    }
}

/// The ids whose text begins with `prefix`, if it can be the beginning of one: at least 8 hex digits,
/// so that a word in a path (`/cafe`) is not mistaken for an id.
fn ids_beginning_with(prefix: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
    if !is_hex || !(8..=32).contains(&digits.len()) {
        return None;
    }
    let fill = |with: char| {
        let text: String = digits.chars().chain(std::iter::repeat(with)).take(32).collect();
        Uuid::try_parse(&text).ok()
    };
    Some((fill('0')?, fill('f')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_filter_is_a_code_a_class_or_a_verdict() {
        for (text, expected) in [
            ("429", Some(StatusFilter::Code(429))),
            ("5xx", Some(StatusFilter::Class(5))),
            ("error", Some(StatusFilter::Error)),
            ("success", Some(StatusFilter::Success)),
            ("9xx", None),
            ("many", None),
        ] {
            assert_eq!(StatusFilter::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_search_is_an_id_only_if_it_can_begin_one() {
        assert!(ids_beginning_with("0193a1b2-").is_some());
        assert!(ids_beginning_with("cafe").is_none());
        assert!(ids_beginning_with("/v1/messages").is_none());
        let (first, last) = ids_beginning_with("0193a1b2").expect("an id's beginning");
        assert_eq!(first.to_string(), "0193a1b2-0000-0000-0000-000000000000");
        assert_eq!(last.to_string(), "0193a1b2-ffff-ffff-ffff-ffffffffffff");
    }
}
