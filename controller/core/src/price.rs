//! What a request cost. Prices are facts that change: they are in one data file, and can be replaced entry by
//! entry. A model that is not in the table has no cost rather than a wrong one.

mod table;

use penstock_proto::usage::Usage;

pub use table::{InvalidPrices, PriceTable};

/// Money, in billionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NanoUsd(pub u64);

/// Prices of one model per token class, in millionths of a millionth of a dollar per token: a dollar per
/// million tokens is a million of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rates {
    input: u64,
    cache_read: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    output: u64,
    reasoning: u64,
}

/// A model's prices, and those for prompts above a number of tokens, the highest threshold first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    base: Rates,
    above: Vec<(u64, Rates)>,
}

/// Picodollars in a nanodollar.
const PICOS: u128 = 1_000;

impl PriceTable {
    /// What a request cost, rounded to the nearest billionth of a dollar; `None`: nobody knows the model's
    /// price. `model` is what the provider answered with, or else what was sent to it.
    ///
    /// A model is looked up by its name, without a vendor before a slash, then without a date or `-latest`
    /// behind it, then by the longest name that it begins with.
    pub fn cost(&self, provider: &str, model: &str, usage: &Usage) -> Option<NanoUsd> {
        self.find(provider, model).map(|price| price.cost(usage))
    }
}

impl NanoUsd {
    /// Whole and fractional dollars as a decimal, e.g. `0.012345`.
    pub fn to_decimal(self) -> String {
        let (dollars, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if nanos == 0 {
            return dollars.to_string();
        }
        let fraction = format!("{nanos:09}");
        format!("{dollars}.{}", fraction.trim_end_matches('0'))
    }

    /// Millionths of a dollar, rounded up: what budgets are counted in.
    pub fn micros(self) -> u64 {
        self.0.div_ceil(1_000)
    }
}

impl Price {
    fn cost(&self, usage: &Usage) -> NanoUsd {
        // No `..`: a new class must decide what it costs.
        let Usage {
            input_tokens,
            cache_read_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
        } = *usage;
        let prompt = [cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens];
        let prompt = prompt.into_iter().fold(input_tokens, u64::saturating_add);
        let rates = self
            .above
            .iter()
            .find(|(threshold, _)| prompt > *threshold)
            .map_or(&self.base, |(_, rates)| rates);
        let picos: u128 = [
            (input_tokens, rates.input),
            (cache_read_tokens, rates.cache_read),
            (cache_write_5m_tokens, rates.cache_write_5m),
            (cache_write_1h_tokens, rates.cache_write_1h),
            (output_tokens, rates.output),
            (reasoning_tokens, rates.reasoning),
        ]
        .into_iter()
        .map(|(tokens, rate)| u128::from(tokens) * u128::from(rate))
        .sum();
        NanoUsd(u64::try_from((picos + PICOS / 2) / PICOS).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
