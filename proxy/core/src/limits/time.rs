//! Instants and spans as headers write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::Offset;

use crate::headers::text;

/// A finite number above zero.
pub(super) fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

/// An HTTP date.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// Epoch seconds or RFC 3339.
pub(crate) fn instant(value: &[u8]) -> Option<Timestamp> {
    // An RFC 3339 date has a dash behind its year, a number has none.
    let is_date = value.get(4) == Some(&b'-');
    if is_date {
        return plain_date(value).or_else(|| text(value)?.parse().ok());
    }
    #[expect(clippy::cast_possible_truncation, reason = "saturates; Timestamp refuses what is out of range")]
    let seconds = positive(text(value)?)? as i64;
    Timestamp::from_second(seconds).ok()
}

/// `2026-09-21T15:13:20Z`, the shape that nearly all of them have and that the general parser takes five times as
/// long for. `None` for every other, and for a date that does not exist.
fn plain_date(value: &[u8]) -> Option<Timestamp> {
    let &[y1, y2, y3, y4, b'-', n1, n2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'Z'] = value
    else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9).then(|| (tens * 10 + ones).cast_signed())
    };
    let year = i16::from(two(y1, y2)?) * 100 + i16::from(two(y3, y4)?);
    let (month, day) = (two(n1, n2)?, two(d1, d2)?);
    let date = DateTime::new(year, month, day, two(h1, h2)?, two(m1, m2)?, two(s1, s2)?, 0).ok()?;
    Offset::UTC.to_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_in_its_usual_shape_is_what_the_general_parser_reads() {
        for text in [
            "2026-09-21T15:13:20Z",
            "2028-02-29T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "9999-12-30T22:00:00Z",
            "0000-01-01T00:00:00Z",
        ] {
            let read: Timestamp = text.parse().unwrap();
            assert_eq!(plain_date(text.as_bytes()), Some(read), "{text}");
        }
        for text in [
            "2027-02-29T00:00:00Z",
            "2026-09-21T15:13:61Z",
            "2026-09-21T24:00:00Z",
            "2026-0a-21T15:13:20Z",
            "2026-09-21t15:13:20Z",
            "2026-09-21T15:13:20.5Z",
            "2026-09-21T15:13:20+02:00",
            "2026-06-30T23:59:60Z",
        ] {
            assert_eq!(plain_date(text.as_bytes()), None, "{text}");
            assert_eq!(instant(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }
}
