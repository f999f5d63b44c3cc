//! Writing manifests: new objects in files of their own, changed and deleted ones in the files where they are,
//! whose other documents stay as they stand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use penstock_controller_core::document::{Document, join, split};
use penstock_controller_core::objects::DEFAULT_NAMESPACE;
use penstock_controller_core::validate::{self, Kind, Manifest};
use penstock_crds::{API_VERSION, ProviderAccount};
use penstock_proto::ids::ObjectId;
use serde_json::{Map, Value, json};

use super::files;
use super::node::Node;
use super::read::{Key, Of, Read};
use super::state::State;
use crate::cluster::{SecretData, WriteError};

/// Nobody has this many objects of nearly the same name.
const MOST_NAMES: u32 = 1_000;

impl State {
    /// Writes an object that is not there yet into a file of its own. Returns the file's name.
    pub(super) fn create(&mut self, key: &Key, manifest: &Value) -> Result<String, WriteError> {
        if self.find(key).is_some() {
            return Err(WriteError::Exists { what: key.what() });
        }
        check(key, manifest)?;
        let name = self.new_file(key);
        self.put(&name, &yaml(manifest)?, key.of == Of::Secret)?;
        Ok(name)
    }

    /// Replaces an object in the file where it is. `change` gets its manifest as it stands there.
    pub(super) fn replace(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> Result<(), WriteError> {
        let (name, text, object) = self.editable(key)?;
        let mut documents = split(&text);
        let document = &mut documents[object.document];
        let node = Node::parse(&document.in_place());
        let mut manifest = node.map_err(|error| invalid(error.without_snippet().to_string()))?.to_json();
        change(&mut manifest);
        check(key, &manifest)?;
        *document = document.with_content(&yaml(&manifest)?);
        self.put(&name, &join(&documents), self.has_secret(&name))
    }

    /// Removes an object from the file where it is, and the file if nothing else is in it.
    pub(super) fn remove(&mut self, key: &Key) -> Result<(), WriteError> {
        let (name, text, object) = self.editable(key)?;
        let mut documents = split(&text);
        documents.remove(object.document);
        if documents.iter().all(Document::is_blank) {
            return self.remove_file(&name);
        }
        self.put(&name, &join(&documents), self.has_secret(&name))
    }

    /// Removes a file.
    pub(super) fn remove_file(&mut self, name: &str) -> Result<(), WriteError> {
        let path = self.folder.join(name);
        std::fs::remove_file(&path).map_err(|source| WriteError::Io { path, source })?;
        self.load();
        Ok(())
    }

    /// The file of an object, as it stands. One with mistakes is not touched: its good state and its text are
    /// not the same.
    fn editable(&mut self, key: &Key) -> Result<(String, String, Read), WriteError> {
        // Somebody may have edited it a moment ago.
        self.load();
        let (name, object) = self.find(key).ok_or_else(|| WriteError::NotFound { what: key.what() })?;
        let held = &self.files[name];
        match &held.seen {
            Ok(text) if held.problems.is_empty() => Ok((name.to_owned(), text.clone(), object.clone())),
            _ => {
                let first = held.problems.first().map(ToString::to_string).unwrap_or_default();
                Err(invalid(format!(
                    "the file of {} has a mistake that must be mended first: {first}",
                    key.what()
                )))
            }
        }
    }

    fn put(&mut self, name: &str, text: &str, secret: bool) -> Result<(), WriteError> {
        let path = self.folder.join(name);
        files::write(&path, text, secret).map_err(|source| WriteError::Io { path, source })?;
        self.load();
        let problems = self.files.get(name).map(|held| held.problems.as_slice()).unwrap_or_default();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(WriteError::Invalid { reasons: problems.iter().map(ToString::to_string).collect() })
        }
    }

    fn has_secret(&self, name: &str) -> bool {
        self.files.get(name).is_some_and(|held| held.good.iter().any(|object| object.key.of == Of::Secret))
    }

    /// A name that says what is in the file, and that no file has.
    fn new_file(&self, key: &Key) -> String {
        let kind = match key.of {
            Of::Ours(Kind::Account) => "account",
            Of::Ours(Kind::Pool) => "pool",
            Of::Ours(Kind::Grant) => "grant",
            Of::Secret => "secret",
            Of::ConfigMap => "configmap",
            Of::Namespace => "namespace",
        };
        let (namespace, name) = (key.id.namespace(), key.id.name());
        let stem =
            if namespace == DEFAULT_NAMESPACE { name.to_owned() } else { format!("{namespace}.{name}") };
        let mut names = (1..MOST_NAMES).map(|n| {
            let more = if n == 1 { String::new() } else { format!("-{n}") };
            format!("{kind}-{stem}{more}.yaml")
        });
        let free = |name: &String| !self.folder.join(name).exists();
        names.find(free).unwrap_or_else(|| format!("{kind}-{stem}-{MOST_NAMES}.yaml"))
    }
}

/// The manifest of an account, without what only the controller writes.
pub(super) fn account_manifest(account: &ProviderAccount, id: &ObjectId) -> Value {
    let labels = account.metadata.labels.clone().unwrap_or_default();
    let annotations = account.metadata.annotations.clone().unwrap_or_default();
    json!({
        "apiVersion": API_VERSION,
        "kind": Kind::Account.name(),
        "metadata": metadata(id, &labels, &annotations),
        "spec": account.spec,
    })
}

/// The manifest of a Secret.
pub(super) fn secret_manifest(id: &ObjectId, labels: &BTreeMap<String, String>, data: &SecretData) -> Value {
    let mut manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(id, labels, &BTreeMap::new()),
    });
    set_secret_values(&mut manifest, data);
    manifest
}

/// Sets values of a Secret's manifest; its others stay.
pub(super) fn set_secret_values(manifest: &mut Value, data: &SecretData) {
    if let Some(encoded) = manifest.get_mut("data").and_then(Value::as_object_mut) {
        encoded.retain(|key, _| !data.contains_key(key));
        if encoded.is_empty() {
            manifest.as_object_mut().map(|manifest| manifest.remove("data"));
        }
    }
    let values = data.iter().map(|(key, value)| (key.clone(), Value::from(value.expose())));
    match manifest.get_mut("stringData").and_then(Value::as_object_mut) {
        Some(held) => held.extend(values),
        None => manifest["stringData"] = Value::Object(values.collect()),
    }
}

fn metadata(
    id: &ObjectId,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), Value::from(id.name()))]);
    if id.namespace() != DEFAULT_NAMESPACE {
        metadata.insert("namespace".into(), id.namespace().into());
    }
    for (name, values) in [("labels", labels), ("annotations", annotations)] {
        if !values.is_empty() {
            metadata.insert(name.into(), json!(values));
        }
    }
    Value::Object(metadata)
}

/// Nothing is written that would not be in force.
fn check(key: &Key, manifest: &Value) -> Result<Option<Manifest>, WriteError> {
    let checked = match key.of {
        Of::Ours(kind) => validate::manifest(kind, manifest).map(Some),
        _ => Some(validate::rules::metadata(manifest))
            .filter(|broken| !broken.is_empty())
            .map_or(Ok(None), Err),
    };
    checked
        .map_err(|broken| WriteError::Invalid { reasons: broken.iter().map(ToString::to_string).collect() })
}

fn yaml(manifest: &Value) -> Result<String, WriteError> {
    serde_saphyr::to_string(manifest).map_err(|error| invalid(format!("cannot be written as YAML: {error}")))
}

fn invalid(reason: String) -> WriteError {
    WriteError::Invalid { reasons: vec![reason] }
}

/// The file that could not be written.
pub(super) fn io_error((path, source): (PathBuf, std::io::Error)) -> WriteError {
    WriteError::Io { path, source }
}
