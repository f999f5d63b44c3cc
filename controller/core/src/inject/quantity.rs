//! Amounts of CPU and memory as Kubernetes writes them, for comparison.

use std::cmp::Ordering;

/// An amount of something, more than nothing; remembers how it was written.
#[derive(Debug, Clone)]
pub(super) struct Quantity {
    text: String,
    amount: f64,
}

/// What may follow the number, and what it is worth.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

impl Quantity {
    /// `None`: Kubernetes would not take it, or it is nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let suffix = SUFFIXES.into_iter().find(|(suffix, _)| text.ends_with(suffix));
        let (number, worth) = match suffix {
            Some((suffix, worth)) => (&text[..text.len() - suffix.len()], worth),
            None => (text, 1.0),
        };
        // Rust also reads `inf` and `nan`.
        let is_number =
            number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
        let amount = number.parse::<f64>().ok().filter(|_| is_number)? * worth;
        (amount > 0.0 && amount.is_finite()).then(|| Self { text: text.to_owned(), amount })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.amount.partial_cmp(&other.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_compared_whatever_they_are_written_in() {
        let parse = |text| Quantity::parse(text).unwrap_or_else(|| panic!("{text}"));
        for (less, more) in [
            ("10m", "0.011"),
            ("1", "1001m"),
            ("64M", "64Mi"),
            ("64m", "1"),
            ("16Mi", "0.1Gi"),
            ("1e3", "1Ki"),
            ("500n", "1u"),
        ] {
            assert!(parse(less) < parse(more), "{less} < {more}");
        }
        assert_eq!(parse("1000m"), parse("1"));
        assert_eq!(parse("1.5Gi").as_str(), "1.5Gi");
    }

    #[test]
    fn what_kubernetes_would_not_take_is_no_amount() {
        for text in
            ["", "m", "Mi", "0", "0m", "-1", "64 Mi", "64MB", "64mi", "inf", "nan", "1e", "1..2", "ten"]
        {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }
}
