//! The table of prices, and how a model is found in it.

use std::collections::BTreeMap;

use penstock_crds::Provider;
use serde::Deserialize;

use super::{Price, Rates};

/// Dollars per million tokens, by vendor and model. `about` says where the numbers come from.
const BUILT_IN: &str = include_str!("../prices.json");

/// Names of vendors as aggregators write them, and as the table does.
const VENDOR_ALIASES: [(&str, &str); 3] = [("x-ai", "xai"), ("z-ai", "zai"), ("alibaba", "qwen")];

/// Prices by vendor and model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceTable {
    vendors: BTreeMap<String, BTreeMap<String, Price>>,
}

/// Why a text is not a table of prices.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrices {
    /// It is not JSON of the right shape.
    #[error("prices are not a map of vendors to models to prices")]
    Shape(#[from] serde_json::Error),
    /// A price is negative, not finite, or beyond a million dollars per million tokens.
    #[error("price of {vendor} {model} is out of range")]
    OutOfRange {
        /// Whose.
        vendor: String,
        /// Of which model.
        model: String,
    },
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    input: Option<f64>,
    output: Option<f64>,
    cache_read: Option<f64>,
    cache_write_5m: Option<f64>,
    cache_write_1h: Option<f64>,
    reasoning: Option<f64>,
    #[serde(default)]
    above: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "about")]
    _about: Option<String>,
    #[serde(flatten)]
    vendors: BTreeMap<String, BTreeMap<String, Entry>>,
}

impl PriceTable {
    /// The table that Penstock comes with.
    ///
    /// # Errors
    /// Never for the file as it is checked in; a test reads it.
    pub fn built_in() -> Result<Self, InvalidPrices> {
        Self::default().with(BUILT_IN)
    }

    /// This table with the entries of a JSON text of the same form on top.
    ///
    /// # Errors
    /// If the text is no such JSON, or a price is impossible. Nothing of it is taken then.
    pub fn with(mut self, json: &str) -> Result<Self, InvalidPrices> {
        let file: File = serde_json::from_str(json)?;
        for (vendor, models) in file.vendors {
            let held = self.vendors.entry(vendor.clone()).or_default();
            for (model, entry) in models {
                let price = entry.price().ok_or_else(|| InvalidPrices::OutOfRange {
                    vendor: vendor.clone(),
                    model: model.clone(),
                })?;
                held.insert(model.to_lowercase(), price);
            }
        }
        Ok(self)
    }

    pub(super) fn find(&self, provider: &str, model: &str) -> Option<&Price> {
        let model = model.trim().to_lowercase();
        let (prefix, name) = model.rsplit_once('/').map_or((None, model.as_str()), |(a, b)| (Some(a), b));
        let aliased = |name: &str| VENDOR_ALIASES.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
        let named = prefix.map(|prefix| aliased(prefix).unwrap_or(prefix));
        let own = vendor_of(provider);
        let vendors = own.into_iter().chain(named).filter_map(|vendor| self.vendors.get(vendor));
        let mut vendors: Vec<_> = vendors.collect();
        if vendors.is_empty() {
            // An aggregator that names models without their vendor: exact names are enough of a sign.
            return self.vendors.values().find_map(|models| models.get(name));
        }
        vendors.dedup_by(|a, b| std::ptr::eq(*a, *b));
        vendors.into_iter().find_map(|models| in_vendor(models, name))
    }
}

/// Whose prices a provider's accounts are charged with; `None`: it depends on the model.
fn vendor_of(provider: &str) -> Option<&'static str> {
    Some(match Provider::named(provider)? {
        Provider::Anthropic | Provider::ClaudeCode => "anthropic",
        Provider::Openai | Provider::Codex => "openai",
        Provider::Zai => "zai",
        Provider::Minimax => "minimax",
        Provider::Qwen | Provider::AlibabaCodingPlan => "qwen",
        Provider::Xai => "xai",
        Provider::AnthropicCompatible
        | Provider::OpenaiCompatible
        | Provider::Openrouter
        | Provider::Nanogpt
        | Provider::Kilo
        | Provider::Ollama => return None,
    })
}

fn in_vendor<'a>(models: &'a BTreeMap<String, Price>, name: &str) -> Option<&'a Price> {
    let dateless = without_date(name);
    let begins = || {
        let mut candidates: Vec<_> = models.iter().filter(|(held, _)| continues(name, held)).collect();
        candidates.sort_by_key(|(held, _)| std::cmp::Reverse(held.len()));
        candidates.first().map(|(_, price)| *price)
    };
    models.get(name).or_else(|| models.get(dateless)).or_else(begins)
}

/// Whether `name` is `held` with something behind a separator.
fn continues(name: &str, held: &str) -> bool {
    name.strip_prefix(held).is_some_and(|rest| rest.starts_with(['-', '@', ':', '[']))
}

/// `claude-opus-4-5-20251101`, `gpt-4.1-2025-04-14`, `…@20251001` and `…-latest` without what is behind.
fn without_date(name: &str) -> &str {
    let name = name.strip_suffix("-latest").unwrap_or(name);
    let digits = name.bytes().rev().take_while(|b| b.is_ascii_digit() || *b == b'-').count();
    let (stem, tail) = name.split_at(name.len() - digits);
    let in_tail = |length: usize| tail.len().checked_sub(length).map(|at| &tail[at..]);
    let is_date = |text: &str, dashes: usize| {
        text.starts_with('-') && text.bytes().filter(|b| *b == b'-').count() == dashes
    };
    if let Some(short) = stem.strip_suffix('@').filter(|_| tail.len() == 8) {
        return short;
    }
    match (in_tail(11), in_tail(9)) {
        (Some(date), _) if is_date(date, 3) => &name[..name.len() - 11],
        (_, Some(date)) if is_date(date, 1) => &name[..name.len() - 9],
        _ => name,
    }
}

impl Entry {
    /// The price, with what is not said derived from what is.
    fn price(&self) -> Option<Price> {
        let base = self.rates(None)?;
        let mut above = Vec::new();
        for (threshold, entry) in &self.above {
            above.push((threshold.parse().ok()?, entry.rates(Some(self))?));
        }
        above.sort_by_key(|(threshold, _): &(u64, Rates)| std::cmp::Reverse(*threshold));
        Some(Price { base, above })
    }

    fn rates(&self, below: Option<&Self>) -> Option<Rates> {
        let said = |pick: fn(&Self) -> Option<f64>| pick(self).or_else(|| below.and_then(pick));
        let input = said(|entry| entry.input).unwrap_or_default();
        let output = said(|entry| entry.output).unwrap_or_default();
        let write_5m = said(|entry| entry.cache_write_5m);
        // Anthropic's rule: a write that lives an hour is twice the input price. Writes that cost nothing
        // extra with others cost nothing extra for longer either.
        let write_1h = said(|entry| entry.cache_write_1h).unwrap_or(match write_5m {
            Some(price) if price > 0.0 => 2.0 * input,
            Some(_) => 0.0,
            None => input,
        });
        Some(Rates {
            input: picos(input)?,
            cache_read: picos(said(|entry| entry.cache_read).unwrap_or(input))?,
            cache_write_5m: picos(write_5m.unwrap_or(input))?,
            cache_write_1h: picos(write_1h)?,
            output: picos(output)?,
            reasoning: picos(said(|entry| entry.reasoning).unwrap_or(output))?,
        })
    }
}

/// Dollars per million tokens → picodollars per token.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
fn picos(dollars: f64) -> Option<u64> {
    (0.0..=1e6).contains(&dollars).then(|| (dollars * 1e6).round() as u64)
}
