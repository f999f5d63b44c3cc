//! A histogram of durations with fixed bounds, so that histograms of any lines can be added up.

/// Upper bounds in milliseconds; a last bucket takes what is longer. From a refusal to a ten-minute stream;
/// between 1 s and 100 s, where answers are, each is about a quarter above the one before, so a percentile
/// interpolated between two of them is off by less than that, usually far less.
/// Changing them makes stored histograms wrong: it needs a migration.
#[rustfmt::skip]
pub const BOUNDS: [u64; 31] = [
    50, 100, 200, 350, 500, 750,
    1_000, 1_250, 1_600, 2_000, 2_500, 3_200, 4_000, 5_000, 6_400, 8_000,
    10_000, 12_500, 16_000, 20_000, 25_000, 32_000, 40_000, 50_000, 64_000, 80_000,
    100_000, 140_000, 200_000, 350_000, 600_000,
];

/// How many buckets there are.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Which bucket a duration belongs to.
pub fn bucket_of(millis: u64) -> usize {
    BOUNDS.partition_point(|bound| *bound < millis)
}

/// The duration in milliseconds below which the share `q` (0–1) lies, interpolated within its bucket;
/// 0 without any. In the open last bucket it is that bucket's lower bound.
#[expect(clippy::cast_precision_loss, reason = "bounds are small numbers")]
pub fn quantile(counts: &[f64; BUCKETS], q: f64) -> f64 {
    let total: f64 = counts.iter().sum();
    let mut wanted = q * total;
    let mut lower = 0.0;
    for (count, upper) in counts.iter().zip(BOUNDS) {
        let upper = upper as f64;
        if *count > 0.0 && wanted <= *count {
            return lower + (upper - lower) * (wanted / count).max(0.0);
        }
        wanted -= count;
        lower = upper;
    }
    if total > 0.0 { lower } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_belongs_to_the_first_bound_that_is_not_below_it() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(50), 0);
        assert_eq!(bucket_of(51), 1);
        assert_eq!(bucket_of(600_000), BUCKETS - 2);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_quantile_is_interpolated_within_its_bucket() {
        let mut counts = [0.0; BUCKETS];
        assert!(quantile(&counts, 0.5).abs() < f64::EPSILON, "nothing to say about nothing");
        counts[bucket_of(1_200)] = 10.0;
        assert!((quantile(&counts, 0.5) - 1_125.0).abs() < 1e-9);
        counts[bucket_of(40)] = 90.0;
        assert!((quantile(&counts, 0.5) - 50.0 * 5.0 / 9.0).abs() < 1e-9);
        assert!((quantile(&counts, 0.95) - 1_125.0).abs() < 1e-9);
        counts[BUCKETS - 1] = 1_000.0;
        assert!((quantile(&counts, 0.99) - 600_000.0).abs() < 1e-9);
    }
}
