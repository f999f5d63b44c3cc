//! Tables for people, JSON and YAML for programs.

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
}

impl Format {
    /// Prints `value` as JSON or YAML, or the table that `table` makes of it.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        table: impl FnOnce(&T) -> Table,
    ) -> anyhow::Result<()> {
        match self {
            Self::Table => println!("{}", table(value)),
            Self::Json => println!("{}", serde_json::to_string_pretty(value)?),
            Self::Yaml => print!("{}", serde_saphyr::to_string(value).context("writing YAML")?),
        }
        Ok(())
    }
}

/// A table without lines, as kubectl prints.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|title| title.to_uppercase()));
    table
}

/// `3m`, `2h10m`, `4d`: a length of time for people.
pub(crate) fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..=99 => format!("{seconds}s"),
        100..=5_999 => format!("{}m", seconds / 60),
        6_000..=86_399 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// How far `then` lies ahead, or a dash.
pub(crate) fn until(then: Option<Timestamp>, now: Timestamp) -> String {
    match then {
        Some(then) if then > now => length(then.duration_since(now)),
        _ => "-".to_owned(),
    }
}

/// 1234567 → `1.23M`.
pub(crate) fn count(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = n as f64;
    match n {
        0..=9_999 => n.to_string(),
        10_000..=999_999 => format!("{:.1}k", value / 1e3),
        1_000_000..=999_999_999 => format!("{:.2}M", value / 1e6),
        _ => format!("{:.2}G", value / 1e9),
    }
}

/// Dollars, with more digits where there is little.
pub(crate) fn dollars(usd: Option<f64>) -> String {
    match usd {
        None => "-".to_owned(),
        Some(usd) if usd < 1.0 => format!("${usd:.4}"),
        Some(usd) => format!("${usd:.2}"),
    }
}

/// A bar of ten cells and the percentage: `███▌······  35%`.
pub(crate) fn bar(percent: f64) -> String {
    let halves = (percent.clamp(0.0, 100.0) / 5.0).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20")]
    let halves = halves as usize;
    let (full, half) = (halves / 2, halves % 2);
    let bar: String = "█".repeat(full) + &"▌".repeat(half) + &"·".repeat(10 - full - half);
    format!("{bar} {percent:>3.0}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_lengths_counts_and_bars() {
        assert_eq!(length(SignedDuration::from_secs(59)), "59s");
        assert_eq!(length(SignedDuration::from_secs(3_600)), "60m");
        assert_eq!(length(SignedDuration::from_secs(7_800)), "2h10m");
        assert_eq!(length(SignedDuration::from_hours(100)), "4d4h");
        assert_eq!(count(9_999), "9999");
        assert_eq!(count(1_234_567), "1.23M");
        assert_eq!(bar(37.0), "███▌······  37%");
        assert_eq!(bar(120.0), "██████████ 120%");
        assert_eq!(dollars(Some(0.00123)), "$0.0012");
    }
}
