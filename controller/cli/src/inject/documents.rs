//! Files of manifests, read as kubectl reads them and written so that every reader reads the same. Documents
//! that nothing happens to are written as they stand.

use anyhow::{Context, anyhow};
use penstock_controller_core::document::{Document, split};
use penstock_controller_core::inject::Settings;
use penstock_controller_core::inject::manifest::{Became, Found, Rewritten, Said, rewrite};
use serde_json::{Value, json};

/// A file, or standard input.
pub(super) struct File {
    name: String,
    parts: Vec<Part>,
}

/// A document of it.
struct Part {
    source: Document,
    /// Counted from 1, blank ones too.
    number: usize,
    manifest: Value,
    found: Vec<Found>,
}

impl File {
    /// # Errors
    /// If a document cannot be read; says which, and where.
    pub(super) fn read(name: &str, text: &str) -> anyhow::Result<Self> {
        let mut parts = Vec::new();
        for (at, source) in split(text).into_iter().enumerate() {
            let manifest = value(&source).map_err(|error| {
                let line =
                    error.location().map_or(0, |location| location.line()).max(source.first_line as u64);
                anyhow!("{name}: document {}, line {line}: {}", at + 1, error.without_snippet())
            })?;
            parts.push(Part { source, number: at + 1, manifest, found: Vec::new() });
        }
        Ok(Self { name: name.to_owned(), parts })
    }

    /// With sidecars in its pods.
    pub(super) fn rewritten(mut self, said: Said<'_>, settings: &Settings) -> Self {
        for part in &mut self.parts {
            let Rewritten { manifest, found } = rewrite(std::mem::take(&mut part.manifest), said, settings);
            part.manifest = manifest;
            part.found = found;
        }
        self
    }

    /// What became of its pods.
    pub(super) fn found(&self) -> impl Iterator<Item = &Found> {
        self.parts.iter().flat_map(|part| &part.found)
    }

    /// One line for each pod that cannot have a sidecar.
    pub(super) fn refusals(&self) -> impl Iterator<Item = String> {
        self.parts.iter().flat_map(|part| {
            let at = format!("{}: document {}, line {}", self.name, part.number, part.source.content_line());
            part.found.iter().filter_map(move |Found { workload, became }| match became {
                Became::Refused(reasons) => Some(format!("{at}: {workload}: {}", reasons.join("; "))),
                _ => None,
            })
        })
    }
}

impl Part {
    fn is_changed(&self) -> bool {
        self.found.iter().any(|found| matches!(found.became, Became::Injected(_)))
    }

    fn yaml(&self) -> anyhow::Result<String> {
        if !self.is_changed() {
            return Ok(self.source.text.clone());
        }
        // Long words are left in one piece.
        let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
        let text = serde_saphyr::to_string_with_options(&self.manifest, options).context("writing YAML")?;
        Ok(self.source.with_content(&text).text)
    }
}

/// All documents, in their order.
pub(super) fn to_yaml(files: &[File]) -> anyhow::Result<String> {
    let mut text = String::new();
    for part in files.iter().flat_map(|file| &file.parts) {
        let yaml = part.yaml()?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        if !text.is_empty() && !yaml.starts_with("---") {
            text.push_str("---\n");
        }
        text.push_str(&yaml);
    }
    Ok(text)
}

/// The one document, or a List of all that is in them: kubectl reads no List in a List.
pub(super) fn to_json(files: &[File]) -> anyhow::Result<String> {
    let parts = files.iter().flat_map(|file| &file.parts);
    let all: Vec<_> = parts.map(|part| &part.manifest).filter(|manifest| !manifest.is_null()).collect();
    let whole = match all[..] {
        [one] => one.clone(),
        _ => {
            json!({ "apiVersion": "v1", "kind": "List", "items": all.into_iter().flat_map(items).collect::<Vec<_>>() })
        }
    };
    Ok(serde_json::to_string_pretty(&whole).context("writing JSON")? + "\n")
}

/// The objects of a List, or the one.
fn items(manifest: &Value) -> Vec<&Value> {
    match manifest["items"].as_array() {
        Some(items) if manifest["kind"] == "List" => items.iter().collect(),
        _ => vec![manifest],
    }
}

/// As kubectl reads it: YAML 1.1, in which `0644` is octal and `on` is true.
fn value(document: &Document) -> Result<Value, serde_saphyr::Error> {
    if document.is_blank() {
        return Ok(Value::Null);
    }
    // A snippet could show the value of a Secret.
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    serde_saphyr::from_str_with_options(&document.in_place(), options)
}

#[cfg(test)]
mod tests {
    use penstock_controller_core::inject::Resources;

    use super::*;

    fn settings() -> Settings {
        Settings {
            version: "1.2.3".into(),
            image: "proxy:1".into(),
            controller: "https://c:8091".into(),
            name: "penstock".into(),
            own_namespace: None,
            native: true,
            admin_address: "0.0.0.0".parse().unwrap(),
            resources: Resources::default(),
        }
    }

    fn injected(text: &str) -> File {
        File::read("app.yaml", text).unwrap().rewritten(Said::default(), &settings())
    }

    const SERVICE: &str = "# the address\napiVersion: v1\nkind: Service   # kept\nmetadata: { name: app }\n";
    const POD: &str = "---\n# the app\napiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec:\n  containers:\n  - {name: app, image: a}\n";

    #[test]
    fn the_order_is_kept_and_what_is_no_workload_stays_as_it_stands() {
        let text = to_yaml(&[injected(&format!("{SERVICE}{POD}---\n{SERVICE}"))]).unwrap();
        assert!(text.starts_with(SERVICE) && text.ends_with(&format!("---\n{SERVICE}")), "{text}");
        assert!(
            text.contains("---\n# the app\napiVersion: v1\nkind: Pod\n") && text.contains("penstock-proxy"),
            "{text}"
        );
    }

    #[test]
    fn files_are_put_together_with_a_marker_between_them() {
        let files = [injected(SERVICE.trim_end()), injected(POD.trim_start_matches("---\n"))];
        assert_eq!(split(&to_yaml(&files).unwrap()).len(), 2);
        let whole: Value = serde_json::from_str(&to_json(&files).unwrap()).unwrap();
        assert_eq!(
            (whole["kind"].as_str(), whole["items"].as_array().map(Vec::len)),
            (Some("List"), Some(2))
        );
        let one: Value = serde_json::from_str(&to_json(&files[1..]).unwrap()).unwrap();
        assert_eq!(one["kind"], "Pod");
    }

    #[test]
    fn values_mean_the_same_to_every_reader_afterwards() {
        let read = r##"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": {"volumes": [
            {"name": "v", "secret": {"secretName": "s", "defaultMode": 0644}}], "containers": [{"name": "app", "args": [
            "yes", "on", "0644", "1e3", "1:30", "null", "~", "", "a: b", "# c", "- d", " e ", "x\ny\n", "t\tu", "{{ f }}",
            "2026-11-21", "0x1F", "-", "'", "\"", "\\", "|", "*a", "&b", "!c", "%d", "@e", "`f`", "é", "\u0001"]}]}}"##;
        let file = injected(read);
        let before = file.parts[0].manifest.clone();
        assert_eq!(before["spec"]["volumes"][0]["secret"]["defaultMode"], 0o644);
        let text = to_yaml(&[file]).unwrap();
        assert_eq!(File::read("again", &text).unwrap().parts[0].manifest, before, "{text}");
        for unquoted in ["- yes\n", "- on\n", "- 0644\n", "- 1:30\n", "- 2026-11-21\n"] {
            assert!(!text.contains(unquoted), "{unquoted} in {text}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_document_and_its_line() {
        let error = File::read("app.yaml", &format!("{SERVICE}---\na: [\n")).err().unwrap().to_string();
        assert!(error.starts_with("app.yaml: document 2, line "), "{error}");
        let host = POD.replace("spec:\n", "spec:\n  hostNetwork: true\n");
        let refusals: Vec<_> = injected(&format!("{SERVICE}{host}")).refusals().collect();
        assert!(
            refusals[0].starts_with("app.yaml: document 2, line 7: pod/app: hostNetwork"),
            "{refusals:?}"
        );
    }
}
