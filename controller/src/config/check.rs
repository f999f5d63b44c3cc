//! Where the value of a setting comes from, and every mistake on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use penstock_proto::secret::Secret;
use serde_json::Value;

use super::{Database, InvalidConfig};
use crate::store::postgres::Target;

/// Keys of the file that belong to the other programs of `penstock up`.
const KEYS_OF_OTHERS: [&str; 2] = ["proxyListen", "adminListen"];

/// Every flag that may stand in the file.
const FLAGS: &[&str] = &[
    "data",
    "api-listen",
    "public-hosts",
    "grpc-listen",
    "tls-names",
    "database-url",
    "database-ca",
    "history-days",
    "log-format",
    "log",
    "source",
    "namespaces",
    "own-namespace",
    "pod",
    "name",
    "admission-listen",
    "proxy-image",
    "proxy-controller-url",
];

/// What is known so far, and what is wrong with it.
pub(super) struct Check {
    file: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Check {
    /// With what the file says; nothing where there is none.
    pub(super) fn of_file(path: &Path) -> Self {
        let mut check = Self { file: BTreeMap::new(), problems: Vec::new() };
        check.read(path);
        check
    }

    /// What the settings are, unless there was a mistake. What is missing has a problem that says why.
    pub(super) fn end<T>(self, settings: Option<T>) -> Result<T, InvalidConfig> {
        match settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            _ => Err(InvalidConfig(self.problems)),
        }
    }

    fn read(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => text,
            Ok(_) => return,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.problems.push(format!("{} cannot be read: {error}", path.display())),
        };
        let known: Vec<String> = FLAGS.iter().map(|flag| key(flag)).collect();
        match serde_saphyr::from_str::<BTreeMap<String, Value>>(&text) {
            Ok(entries) => {
                for (name, value) in entries {
                    match value {
                        _ if KEYS_OF_OTHERS.contains(&name.as_str()) => {}
                        _ if !known.contains(&name) => {
                            self.problems.push(format!("{}: no setting is called {name}", path.display()));
                        }
                        Value::String(text) => drop(self.file.insert(name, text)),
                        Value::Number(number) => drop(self.file.insert(name, number.to_string())),
                        _ => self.problems.push(format!("{}: {name} is not one value", path.display())),
                    }
                }
            }
            Err(error) => self.problems.push(format!("{}: {error}", path.display())),
        }
    }

    /// Flag or variable, else file, else default.
    pub(super) fn value<T>(
        &mut self,
        flag: &str,
        given: Option<String>,
        default: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = given.or_else(|| self.file.get(&key(flag)).cloned()).unwrap_or_else(|| default.to_owned());
        let parsed = parse(text.trim());
        if parsed.is_none() {
            self.problems.push(format!("{}: {text:?} is not {what}", sources(flag)));
        }
        parsed
    }

    /// A URL and an authority that fit; a mistake reads as not given, and its text is not repeated.
    pub(super) fn database(&mut self, url: Option<String>, ca: Option<PathBuf>) -> Option<Database> {
        let url = url.or_else(|| self.file.get("databaseUrl").cloned());
        let ca = ca.or_else(|| self.file.get("databaseCa").map(PathBuf::from));
        let Some(url) = url else {
            if ca.is_some() {
                self.problems.push(format!("{}: only with --database-url", sources("database-ca")));
            }
            return None;
        };
        if let Err(problem) = Target::parse(url.trim(), ca.as_deref()) {
            self.problems.push(format!("{}: {problem}", sources("database-url")));
            return None;
        }
        Some(Database { url: Secret::new(url.trim()), ca })
    }

    /// The folder for what is kept.
    pub(super) fn data(&mut self, given: Option<PathBuf>) -> Option<PathBuf> {
        let data = given.or_else(|| self.file.get("data").map(PathBuf::from)).or_else(default_data);
        if data.is_none() {
            self.problems.push("HOME is not set: say with --data where to keep history".to_owned());
        }
        data
    }
}

/// A flag as a key of the file.
fn key(flag: &str) -> String {
    let mut words = flag.split('-');
    let mut key = words.next().unwrap_or_default().to_owned();
    for word in words {
        key.push_str(&word[..1].to_ascii_uppercase());
        key.push_str(&word[1..]);
    }
    key
}

fn sources(flag: &str) -> String {
    let variable = flag.to_ascii_uppercase().replace('-', "_");
    format!("--{flag} (or PENSTOCK_{variable}, or {} in penstock.yaml)", key(flag))
}

/// `$XDG_DATA_HOME/penstock`, else `~/.local/share/penstock`.
fn default_data() -> Option<PathBuf> {
    match std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()) {
        Some(data) => Some(PathBuf::from(data).join("penstock")),
        None => Some(std::env::home_dir()?.join(".local/share/penstock")),
    }
}
