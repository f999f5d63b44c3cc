//! Instants and spans as headers write them.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// A finite number above zero.
pub(super) fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

/// An HTTP date.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// Epoch seconds or RFC 3339.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    // An RFC 3339 date has a dash behind its year, a number has none.
    let is_date = text.as_bytes().get(4) == Some(&b'-');
    if is_date {
        return text.parse().ok();
    }
    #[expect(clippy::cast_possible_truncation, reason = "saturates; Timestamp refuses what is out of range")]
    let seconds = positive(text)? as i64;
    Timestamp::from_second(seconds).ok()
}
