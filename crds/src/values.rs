//! Values that the kinds share: durations, money, references and label selectors.
//! A value that exists is valid; what cannot be checked by its text alone is checked by the controller.

pub mod duration;
pub mod selector;
pub mod usd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use duration::Duration;
pub use selector::LabelSelector;
pub use usd::Usd;

/// Names an object in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct LocalRef {
    /// Name of the object, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A hard limit of money in a calendar period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// The calendar period (UTC) after which counting starts anew: Day, Week (from Monday) or Month.
    pub period: Period,
    /// US dollars as a decimal string, e.g. "200" or "12.50".
    pub usd: Usd,
}

/// A calendar period in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Period {
    /// Midnight to midnight.
    Day,
    /// Monday to Monday.
    Week,
    /// The first to the first.
    Month,
}
