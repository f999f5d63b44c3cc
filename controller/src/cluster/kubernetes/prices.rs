//! Prices that the installation sets itself. What cannot be read of them changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_controller_core::price::{InvalidPrices, PriceTable};
use penstock_proto::ids::ObjectId;

use super::chain;
use crate::cluster::Problem;

/// Key of the ConfigMap.
const KEY: &str = "prices.json";

type Data = Option<Arc<BTreeMap<String, String>>>;

/// The prices in force, and what they were read from.
pub(super) struct Prices {
    built_in: PriceTable,
    read: Data,
    problem: Option<Problem>,
}

impl Prices {
    pub(super) fn new(built_in: PriceTable) -> Self {
        Self { built_in, read: None, problem: None }
    }

    /// Takes in the ConfigMap as it is; the new prices, if they changed.
    pub(super) fn take(&mut self, id: &ObjectId, data: Data) -> Option<PriceTable> {
        let same = match (&self.read, &data) {
            (None, None) => true,
            (Some(held), Some(data)) => Arc::ptr_eq(held, data),
            _ => false,
        };
        if same {
            return None;
        }
        let table = data.as_ref().map_or(Ok(self.built_in.clone()), |data| self.table(data));
        self.read = data;
        match table {
            Ok(table) => {
                self.problem = None;
                Some(table)
            }
            Err(why) => {
                let message = format!("{why}; the prices stay as they were");
                self.problem = Some(Problem { file: format!("ConfigMap {id}"), line: None, message });
                None
            }
        }
    }

    fn table(&self, data: &BTreeMap<String, String>) -> Result<PriceTable, String> {
        let text = data.get(KEY).ok_or_else(|| format!("it has no key {KEY}"))?;
        let table = self.built_in.clone().with(text);
        table.map_err(|error: InvalidPrices| format!("{KEY} cannot be used: {}", chain(&error)))
    }

    /// What is wrong with them.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use penstock_proto::usage::Usage;

    use super::*;

    #[test]
    fn prices_are_replaced_one_by_one_and_a_mistake_changes_nothing() {
        let mut prices = Prices::new(PriceTable::built_in().unwrap());
        let id: ObjectId = "system/penstock-prices".parse().unwrap();
        let data = |text: &str| Some(Arc::new(BTreeMap::from([(KEY.to_owned(), text.to_owned())])));
        let usage = Usage { input_tokens: 1_000_000, ..Usage::default() };
        let table = prices.take(&id, data(r#"{"anthropic": {"claude-own": {"input": 7.0, "output": 9.0}}}"#));
        assert_eq!(table.unwrap().cost("anthropic", "claude-own", &usage).unwrap().0, 7_000_000_000);
        assert!(prices.take(&id, data("{")).is_none());
        assert!(prices.problem().unwrap().message.contains("prices.json"));
        assert!(prices.take(&id, None).is_some(), "those that Penstock comes with hold again");
        assert!(prices.problem().is_none());
    }
}
