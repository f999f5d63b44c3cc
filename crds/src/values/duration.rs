//! Durations as people write them in manifests: `20s`, `10m`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Units in descending order with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What the schema demands of a duration's text.
pub const PATTERN: &str = r"^([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$";

/// A length of time, written as numbers with units from large to small: `1h30m`, `20s`, `250ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(std::time::Duration);

/// Why a text is not a [`Duration`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidDuration {
    raw: String,
}

impl Duration {
    /// From a number of seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDuration { raw: raw.chars().take(40).collect() };
        let mut rest = raw;
        let mut milliseconds = 0u64;
        let mut largest_allowed = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let unit = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(unit);
            let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
            if at < largest_allowed {
                return Err(invalid());
            }
            largest_allowed = at + 1;
            let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(UNITS[at].1));
            milliseconds = part.and_then(|part| milliseconds.checked_add(part)).ok_or_else(invalid)?;
            rest = tail;
        }
        if raw.is_empty() {
            return Err(invalid());
        }
        Ok(Self(std::time::Duration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, length) in UNITS {
            if rest >= length {
                write!(f, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Duration {
    type Error = InvalidDuration;
    fn try_from(raw: String) -> Result<Self, Self::Error> {
        raw.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a duration like 20s, 10m or 1h30m (units d, h, m, s, ms)", self.raw)
    }
}

impl std::error::Error for InvalidDuration {}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 40,
            "pattern": PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_as_people_do() {
        for (raw, seconds, written) in [
            ("20s", 20, "20s"),
            ("90m", 5400, "1h30m"),
            ("1d1h1m1s", 90_061, "1d1h1m1s"),
            ("0s", 0, "0s"),
            ("1500ms", 1, "1s500ms"),
        ] {
            let duration: Duration = raw.parse().unwrap();
            assert_eq!(duration.get().as_secs(), seconds, "{raw}");
            assert_eq!(duration.to_string(), written);
        }
        for raw in ["", "s", "20", "20 s", "-1s", "1.5h", "1s1m", "1s1s", "99999999999999999999s", "1w"] {
            assert!(raw.parse::<Duration>().is_err(), "{raw:?}");
        }
    }
}
