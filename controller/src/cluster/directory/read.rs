//! A file of manifests as objects, or everything that is wrong with it, by line.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_controller_core::document::{Document, split};
use penstock_controller_core::objects::{DEFAULT_NAMESPACE, SecretObject};
use penstock_controller_core::validate::{self, Kind, Manifest, Violation, rules};
use penstock_proto::ids::ObjectId;
use penstock_proto::secret::Secret;
use serde_json::Value;

use super::node::Node;
use crate::cluster::Problem;

/// What a manifest is of; with the name it says which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Of {
    /// One of our kinds.
    Ours(Kind),
    /// `Secret`
    Secret,
    /// `ConfigMap`, of which only `ca.crt` is of interest.
    ConfigMap,
    /// `Namespace`, of which only the labels are of interest.
    Namespace,
}

/// Names an object of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) of: Of,
    pub(super) id: ObjectId,
}

/// What a document says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Ours(Manifest),
    Secret(SecretObject),
    CaBundle(Option<String>),
    Labels(BTreeMap<String, String>),
}

/// An object, and the document of the file that says it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) said: Said,
    /// Where in the file's documents.
    pub(super) document: usize,
    /// Where it begins.
    pub(super) line: u64,
}

/// Every object of a file.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Read>, Vec<Problem>> {
    let (mut objects, mut problems, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (at, document) in split(text).iter().enumerate().filter(|(_, document)| !document.is_blank()) {
        match read_document(file, document) {
            Ok(Some((key, said, line))) if seen.insert(key.clone()) => {
                objects.push(Read { key, said, document: at, line });
            }
            Ok(Some((key, _, line))) => {
                let message = format!("{} is in this file twice; remove one", key.what());
                problems.push(Problem { file: file.to_owned(), line: Some(line), message });
            }
            Ok(None) => {}
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(objects) } else { Err(problems) }
}

impl Key {
    /// Kind and name, for people.
    pub(super) fn what(&self) -> String {
        format!("{} {}", self.of.name(), self.id)
    }
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Ours(kind) => kind.name(),
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Namespace => "Namespace",
        }
    }

    fn named(api_version: &str, kind: &str) -> Result<Self, String> {
        let of = match kind {
            "Secret" => Self::Secret,
            "ConfigMap" => Self::ConfigMap,
            "Namespace" => Self::Namespace,
            other => Self::Ours(Kind::named(other).ok_or_else(|| {
                format!("kind {other:?} is none of ProviderAccount, AccountPool, AccessGrant, Secret, ConfigMap, Namespace")
            })?),
        };
        let expected = if matches!(of, Self::Ours(_)) { penstock_crds::API_VERSION } else { "v1" };
        if api_version == expected {
            Ok(of)
        } else {
            Err(format!("apiVersion of a {kind} is {expected}, not {api_version:?}"))
        }
    }
}

fn read_document(file: &str, document: &Document) -> Result<Option<(Key, Said, u64)>, Vec<Problem>> {
    let problem = |line, message| Problem { file: file.to_owned(), line, message };
    let node = Node::parse(&document.in_place()).map_err(|error| {
        let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
        vec![problem(line.or(u64::try_from(document.first_line).ok()), error.without_snippet().to_string())]
    })?;
    let value = node.to_json();
    if value.is_null() {
        return Ok(None);
    }
    let located = |violation: &Violation| problem(Some(node.line_of(&violation.path)), violation.to_string());
    let (key, said) = understand(&value).map_err(|all| all.iter().map(located).collect::<Vec<_>>())?;
    Ok(Some((key, said, node.line)))
}

fn understand(value: &Value) -> Result<(Key, Said), Vec<Violation>> {
    let one = |keys: &[&str], message: String| vec![Violation::at(keys, message)];
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    if !value.is_object() {
        return Err(one(&[], "an object is a map with apiVersion, kind and metadata".into()));
    }
    let of = Of::named(text("apiVersion"), text("kind")).map_err(|message| one(&["kind"], message))?;
    let said = if let Of::Ours(kind) = of {
        Said::Ours(validate::manifest(kind, value)?)
    } else {
        let wrong = rules::metadata(value);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        match of {
            Of::Secret => Said::Secret(secret(value)?),
            Of::ConfigMap => Said::CaBundle(value["data"]["ca.crt"].as_str().map(str::to_owned)),
            Of::Namespace | Of::Ours(_) => Said::Labels(labels(value)),
        }
    };
    let metadata = &value["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let namespace = metadata["namespace"].as_str().unwrap_or(DEFAULT_NAMESPACE);
    let id = ObjectId::new(namespace, name).map_err(|error| one(&["metadata", "name"], error.to_string()))?;
    Ok((Key { of, id }, said))
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let labels = value["metadata"]["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The values of a Secret: `data` in base64, and `stringData` as it stands, which wins.
fn secret(value: &Value) -> Result<SecretObject, Vec<Violation>> {
    let (mut data, mut wrong) = (BTreeMap::new(), Vec::new());
    let known = ["apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"];
    for field in value.as_object().into_iter().flatten().map(|(field, _)| field.as_str()) {
        if !known.contains(&field) {
            let message = "there is no such field; the values of a Secret are under stringData";
            wrong.push(Violation::at(&[field], message));
        }
    }
    for (part, encoded) in [("data", true), ("stringData", false)] {
        for (key, value) in value[part].as_object().into_iter().flatten() {
            // Never the value: it is a secret.
            match value.as_str().map(|text| if encoded { decode(text) } else { Some(text.to_owned()) }) {
                Some(Some(text)) => drop(data.insert(key.clone(), Secret::new(text))),
                Some(None) => wrong.push(Violation::at(
                    &[part, key],
                    "must be text in base64; bare text belongs under stringData",
                )),
                None => wrong.push(Violation::at(&[part, key], "must be text; put it in quotes")),
            }
        }
    }
    if wrong.is_empty() { Ok(SecretObject { labels: labels(value), data }) } else { Err(wrong) }
}

fn decode(text: &str) -> Option<String> {
    let text: String = text.split_whitespace().collect();
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
