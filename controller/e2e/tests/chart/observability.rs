//! Alerts and the dashboard ask for metrics that there are.

use std::collections::BTreeSet;

use super::{chart, checkout};

/// What Prometheus adds to a metric's name by its type.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_count", "_sum"];
/// Where metrics are named, and the prefix that they get there.
const SOURCES: [(&str, &str); 2] =
    [("penstock_controller_", "controller/src/metrics.rs"), ("penstock_", "proxy/src/metrics/export.rs")];

fn asked_for() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["files/rules.yaml", "files/dashboard.json"] {
        let text = std::fs::read_to_string(chart().join(file)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        names.extend(words.filter(|word| word.starts_with("penstock_")).map(str::to_owned));
    }
    names
}

fn is_there(name: &str) -> bool {
    let bare = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    SOURCES.iter().any(|(prefix, source)| {
        let text = std::fs::read_to_string(checkout(source)).unwrap();
        let named = |name: &str| text.contains(&format!("\"{name}\""));
        // The unit is part of the name, or added to it.
        bare.strip_prefix(prefix)
            .is_some_and(|name| named(name) || name.strip_suffix("_seconds").is_some_and(named))
    })
}

#[test]
fn alerts_and_the_dashboard_ask_for_metrics_that_there_are() {
    let asked = asked_for();
    assert!(asked.len() > 10, "{asked:?}");
    let missing: Vec<_> = asked.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no metric is called {missing:?}");
}
