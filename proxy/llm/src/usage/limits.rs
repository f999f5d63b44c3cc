//! The `codex.rate_limits` event. wire.md 3.7.

use serde_json::Value;

use crate::error::{instant, seconds};

use super::{CodexLimits, CodexWindow};

/// Reads `rate_limits` and `plan_type`. A window without length and reset is absent.
pub(super) fn parse(rate_limits: &[u8], plan: Option<String>) -> Option<CodexLimits> {
    let limits: Value = serde_json::from_slice(rate_limits).ok()?;
    let windows =
        limits.as_object()?.iter().filter_map(|(name, window)| self::window(name, window)).collect();
    Some(CodexLimits { plan, windows })
}

fn window(name: &str, value: &Value) -> Option<CodexWindow> {
    let used_percent = value.get("used_percent")?.as_f64()?;
    let minutes = value.get("window_minutes").and_then(Value::as_u64).filter(|minutes| *minutes > 0);
    let resets_at = ["reset_at", "resets_at"].iter().find_map(|key| value.get(key)).and_then(instant);
    let resets_in =
        ["reset_after_seconds", "resets_in_seconds"].iter().find_map(|key| value.get(key)).and_then(seconds);
    let present = minutes.is_some() || resets_at.is_some();
    present.then(|| CodexWindow { name: name.to_owned(), used_percent, minutes, resets_at, resets_in })
}
