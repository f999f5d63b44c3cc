//! What comes from outside is never trusted to be well-formed.

use std::time::Duration;

use http::Method;
use penstock_llm::usage::{CodexLimits, CodexWindow};
use penstock_proxy_core::headers::Headers;
use penstock_proxy_core::limits::{LONGEST, SHORTEST, learn, learn_codex_event, retry_after};
use penstock_proxy_core::route::{Providers, family_of, route};
use proptest::prelude::*;

use crate::support::start;

const NAMES: [&str; 14] = [
    "anthropic-ratelimit-unified-5h-utilization",
    "anthropic-ratelimit-unified-5h-reset",
    "anthropic-ratelimit-unified-5h-status",
    "anthropic-ratelimit-unified-",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-fast-input-tokens-limit",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-codex-primary-used-percent",
    "x-codex-primary-window-minutes",
    "x-codex-primary-reset-after-seconds",
    "x-codex--reset-at",
];

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,24}",
        "-?[0-9]{1,25}(\\.[0-9]{0,5})?(ms|s|m|h)?",
        Just("NaN".to_owned()),
        Just("inf".to_owned())
    ]
}

proptest! {
    #[test]
    fn no_header_value_breaks_the_reading_of_limits(
        lines in prop::collection::vec((0..NAMES.len(), any_value()), 0..20), wait in any_value(),
    ) {
        let mut headers: Headers = lines.iter().map(|(name, value)| (NAMES[*name], value.as_str())).collect();
        for (name, window) in learn(&headers, start()) {
            prop_assert!(!name.is_empty() && window.utilization.is_finite() && window.utilization >= 0.0);
        }
        for name in ["retry-after", "retry-after-ms"] {
            headers.insert(name, &wait);
            if let Some(until) = retry_after(&headers, start()) {
                let wait = until.duration_since(start());
                prop_assert!(wait >= SHORTEST && wait <= LONGEST, "{wait:?}");
            }
        }
    }

    #[test]
    fn no_event_breaks_the_reading_of_limits(
        used_percent in prop::num::f64::ANY, minutes in prop::option::of(0_u64..20_000), seconds in any::<u64>(),
    ) {
        let resets_in = Some(Duration::from_secs(seconds));
        let window = CodexWindow { name: "primary".into(), used_percent, minutes, resets_at: None, resets_in };
        for (_, window) in learn_codex_event(&CodexLimits { plan: None, windows: vec![window] }, start()) {
            prop_assert!(window.utilization.is_finite() && window.utilization >= 0.0);
        }
    }

    #[test]
    fn every_path_has_a_route_or_none_and_a_route_s_path_is_a_path(
        path in "(/(v1|anthropic|openai|penstock|messages|responses|models|é|%2e|\\.\\.|)){0,6}/?", model in ".{0,20}",
    ) {
        let providers = Providers::new(["zai"]);
        if let Ok(found) = route(&Method::POST, &path, None, &Headers::default(), &providers) {
            prop_assert!(found.path.is_empty() || found.path.starts_with('/'), "{}", found.path);
            let (_, sent) = found.resolve(&model, &providers);
            prop_assert!(model.ends_with(sent));
        }
        let _ = family_of(&model);
    }
}
