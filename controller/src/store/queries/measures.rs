//! The numbers that every aggregate has, and the SQL that sums them up.

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::ToSchema;

use crate::store::rollup::histogram::{self, BUCKETS};

/// Numbers over a set of requests. Rates are percent (0–100), times are milliseconds; where there is
/// nothing to divide by, they are 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measures {
    /// Accepted requests, however they ended.
    pub requests: u64,
    /// Of those whose client stayed, the share that was answered completely and without an error.
    pub success_rate: f64,
    /// Of those whose client stayed, the share that was not.
    pub error_rate: f64,
    /// Requests that were answered with an error, or cut.
    pub errors: u64,
    /// Prompt tokens read from a cache, of all prompt tokens.
    pub cache_hit_rate: f64,
    /// From the request's head to the end of the answer.
    pub avg_response_time: f64,
    /// Median of that, from a histogram: between its bounds it is interpolated.
    pub p50_response_time: f64,
    /// 95th percentile of that, likewise.
    pub p95_response_time: f64,
    /// From the request's head to the answer's first byte.
    pub avg_first_byte_time: f64,
    /// Generated tokens for each second of generating.
    pub avg_tokens_per_second: f64,
    /// Tokens of all classes.
    pub tokens: u64,
    /// Prompt tokens neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Prompt tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to a cache that lives 5 minutes.
    pub cache_write_5m_tokens: u64,
    /// Prompt tokens written to a cache that lives an hour.
    pub cache_write_1h_tokens: u64,
    /// Generated tokens without reasoning.
    pub output_tokens: u64,
    /// Generated tokens reported as reasoning.
    pub reasoning_tokens: u64,
    /// Cost in US dollars of the requests that have a price.
    pub cost_usd: f64,
    /// Requests whose model had no price.
    pub unpriced_requests: u64,
}

/// The sums in the order that [`Measures::read`] expects; the histogram comes after them.
const SUMS: [&str; 16] = [
    "sum(requests)",
    "sum(requests) FILTER (WHERE failed)",
    "sum(requests) FILTER (WHERE ending = 'complete' AND NOT failed)",
    "sum(input_tokens)",
    "sum(cache_read_tokens)",
    "sum(cache_write_5m_tokens)",
    "sum(cache_write_1h_tokens)",
    "sum(output_tokens)",
    "sum(reasoning_tokens)",
    "sum(cost_nano_usd)",
    "sum(unpriced)",
    "sum(duration_ms)",
    "sum(first_byte_ms)",
    "sum(first_bytes)",
    "sum(generation_ms)",
    "sum(generated_tokens)",
];

/// The select list over a roll-up table.
pub(super) fn columns() -> String {
    let sums = SUMS.iter().map(|sum| format!("coalesce({sum}, 0)::float8"));
    let counts = (1..=BUCKETS).map(|bucket| format!("coalesce(sum(durations[{bucket}]), 0)::float8"));
    sums.chain(counts).collect::<Vec<_>>().join(", ")
}

impl Measures {
    /// Reads the columns of [`columns`], which begin at column `first`.
    pub(super) fn read(row: &Row, first: usize) -> Result<Self, tokio_postgres::Error> {
        let mut sums = [0.0; SUMS.len()];
        for (sum, column) in sums.iter_mut().zip(first..) {
            *sum = row.try_get(column)?;
        }
        let mut counts = [0.0; BUCKETS];
        for (count, column) in counts.iter_mut().zip(first + SUMS.len()..) {
            *count = row.try_get(column)?;
        }
        Ok(Self::from_sums(sums, &counts))
    }

    fn from_sums(sums: [f64; SUMS.len()], counts: &[f64; BUCKETS]) -> Self {
        let [
            requests,
            errors,
            successes,
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            cost_nano,
            unpriced,
            duration_ms,
            first_byte_ms,
            first_bytes,
            generation_ms,
            generated,
        ] = sums;
        let prompt = input + cache_read + cache_write_5m + cache_write_1h;
        let stayed = successes + errors;
        Self {
            requests: count(requests),
            success_rate: 100.0 * ratio(successes, stayed),
            error_rate: 100.0 * ratio(errors, stayed),
            errors: count(errors),
            cache_hit_rate: 100.0 * ratio(cache_read, prompt),
            avg_response_time: ratio(duration_ms, requests),
            p50_response_time: histogram::quantile(counts, 0.50),
            p95_response_time: histogram::quantile(counts, 0.95),
            avg_first_byte_time: ratio(first_byte_ms, first_bytes),
            avg_tokens_per_second: 1000.0 * ratio(generated, generation_ms),
            tokens: count(prompt + output + reasoning),
            input_tokens: count(input),
            cache_read_tokens: count(cache_read),
            cache_write_5m_tokens: count(cache_write_5m),
            cache_write_1h_tokens: count(cache_write_1h),
            output_tokens: count(output),
            reasoning_tokens: count(reasoning),
            cost_usd: cost_nano / 1e9,
            unpriced_requests: count(unpriced),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// A sum of counts, back to a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sums of counts: whole, not negative, and exact below 2^53"
)]
pub(super) fn count(sum: f64) -> u64 {
    sum as u64
}
