//! Amounts of US dollars, exact.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Micro-dollars in a dollar.
const MICROS: u64 = 1_000_000;

/// US dollars, written as a decimal string (`"200"`, `"12.50"`), kept in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Usd(u64);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUsd {
    raw: String,
}

impl Usd {
    /// Millionths of a dollar.
    pub const fn micros(self) -> u64 {
        self.0
    }
}

impl FromStr for Usd {
    type Err = InvalidUsd;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidUsd { raw: raw.chars().take(40).collect() };
        let (whole, fraction) = raw.split_once('.').unwrap_or((raw, "0"));
        let digits =
            |s: &str, most: usize| (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 9) || !digits(fraction, 6) {
            return Err(invalid());
        }
        let whole: u64 = whole.parse().map_err(|_| invalid())?;
        let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_| invalid())?;
        Ok(Self(whole * MICROS + fraction))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / MICROS, self.0 % MICROS);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:06}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl TryFrom<String> for Usd {
    type Error = InvalidUsd;
    fn try_from(raw: String) -> Result<Self, Self::Error> {
        raw.parse()
    }
}

impl From<Usd> for String {
    fn from(usd: Usd) -> Self {
        usd.to_string()
    }
}

impl fmt::Display for InvalidUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an amount of dollars like \"200\" or \"12.50\"", self.raw)
    }
}

impl std::error::Error for InvalidUsd {}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 16,
            "x-kubernetes-validations": [crate::rules::USD.to_json()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (raw, micros, written) in
            [("200", 200_000_000, "200"), ("12.50", 12_500_000, "12.5"), ("0.000001", 1, "0.000001")]
        {
            let usd: Usd = raw.parse().unwrap();
            assert_eq!((usd.micros(), usd.to_string().as_str()), (micros, written));
        }
        for raw in ["", ".5", "5.", "-1", "1e3", "$5", "1,000", "0.0000001", "1234567890"] {
            assert!(raw.parse::<Usd>().is_err(), "{raw:?}");
        }
    }
}
