//! Spans of time as providers write them.

use std::time::Duration;

/// Reads a Go duration (`6ms`, `1m30s`, `1h2m3.5s`) or a bare number of seconds. `None` for anything else,
/// also for what is negative or longer than a hundred years. wire.md 2.1.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if let Some(seconds) = number(text) {
        return checked(seconds);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|len| *len > 0)?;
        let value = number(&rest[..digits])?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += value * unit_seconds(&rest[..unit])?;
        rest = &rest[unit..];
    }
    checked(seconds)
}

/// The span behind `try again in` in an error message, e.g. `Please try again in 6.57s.`
pub fn in_message(message: &str) -> Option<Duration> {
    const LEAD: &str = "try again in ";
    let start = message.to_ascii_lowercase().find(LEAD)? + LEAD.len();
    let rest = message.get(start..)?;
    let word = rest.split_whitespace().next()?.trim_end_matches(['.', ',', ')', ';', '!']);
    // A bare number is followed by its unit in words: "try again in 20 seconds".
    if let Some(value) = number(word) {
        let unit = rest.split_whitespace().nth(1)?.trim_end_matches(['.', ',', ')', ';', '!']);
        return checked(value * unit_seconds(unit)?);
    }
    parse(word)
}

fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" | "milliseconds" => 1e-3,
        "s" | "second" | "seconds" => 1.0,
        "m" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

fn checked(seconds: f64) -> Option<Duration> {
    const HUNDRED_YEARS: f64 = 100.0 * 365.25 * 86_400.0;
    if (0.0..=HUNDRED_YEARS).contains(&seconds) { Duration::try_from_secs_f64(seconds).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_reset_is_read_and_garbage_is_not() {
        for (text, expected) in [
            ("1m30s", Some(90.0)),
            ("6ms", Some(0.006)),
            ("1h2m3.5s", Some(3723.5)),
            ("50.529s", Some(50.529)),
            ("0s", Some(0.0)),
            ("5", Some(5.0)),
            ("2d", Some(172_800.0)),
            ("120µs", Some(0.000_12)),
            ("", None),
            ("-3s", None),
            ("1x", None),
            ("s", None),
            ("Infinity", None),
            ("1e400", None),
            ("99999999999999s", None),
            ("1.2.3s", None),
        ] {
            assert_eq!(parse(text), expected.map(Duration::from_secs_f64), "{text:?}");
        }
    }

    #[test]
    fn a_message_may_say_how_long_to_wait() {
        for (text, expected) in [
            ("Rate limit reached. Please try again in 6.57s. Visit …", Some(6.57)),
            ("Please try again in 20ms.", Some(0.02)),
            ("Try again in 20 seconds.", Some(20.0)),
            ("Try again in a while", None),
            ("Try again in ", None),
            ("nothing", None),
        ] {
            assert_eq!(in_message(text), expected.map(Duration::from_secs_f64), "{text:?}");
        }
    }
}
