//! Budgets, told as stories.

#[path = "common/world.rs"]
mod world;

use penstock_controller_core::world::World;
use penstock_controller_core::{Plan, budget, reconcile};
use penstock_crds::account::status::State;
use penstock_crds::values::Period;

use world::{account, at, id, secret, spend, world};

fn with_budget(budget: &str) -> World {
    let spec = format!("provider: anthropic\ncredentials: {{secretRef: {{name: a}}}}\nbudget: {budget}");
    world([account("llm/a", &spec)], [secret("llm/a", &[("apiKey", "sk-1")])])
}

fn state(plan: &Plan) -> State {
    plan.accounts[&id("llm/a")].state.expect("a state")
}

#[test]
fn an_account_is_set_aside_when_its_budget_is_spent_to_the_last_millionth() {
    let mut world = with_budget("{period: Month, usd: \"2.50\"}");
    spend(&mut world, "llm/a", Period::Month, 2_499_999);
    assert_eq!(state(&reconcile(&world, at(0))), State::Available);
    spend(&mut world, "llm/a", Period::Month, 2_500_000);
    let plan = reconcile(&world, at(0));
    assert_eq!(state(&plan), State::BudgetExhausted);
    assert_eq!(plan.accounts[&id("llm/a")].reason.as_deref(), Some("BudgetExhausted"));
}

#[test]
fn a_spent_account_comes_back_when_the_next_period_begins() {
    let mut world = with_budget("{period: Day, usd: \"1\"}");
    spend(&mut world, "llm/a", Period::Day, 1_000_000);
    let plan = reconcile(&world, at(0));
    let (_, next) = budget::around(Period::Day, at(0));
    assert_eq!(plan.accounts[&id("llm/a")].limited_until, Some(next));
    assert_eq!(plan.next_change, Some(next));
    plan.apply(&mut world);
    let plan = reconcile(&world, next);
    assert_eq!(state(&plan), State::Available, "what was spent yesterday does not count today");
}

#[test]
fn a_spent_account_stays_spent_over_a_restart_until_the_history_says_otherwise() {
    let mut world = with_budget("{period: Month, usd: \"2\"}");
    spend(&mut world, "llm/a", Period::Month, 2_000_000);
    reconcile(&world, at(0)).apply(&mut world);
    world.spent.clear();
    assert_eq!(state(&reconcile(&world, at(1))), State::BudgetExhausted);
    spend(&mut world, "llm/a", Period::Month, 0);
    assert_eq!(state(&reconcile(&world, at(1))), State::Available);
}

#[test]
fn a_raised_budget_and_one_of_another_period_count_anew() {
    let mut world = with_budget("{period: Day, usd: \"1\"}");
    spend(&mut world, "llm/a", Period::Month, 1_500_000);
    assert_eq!(state(&reconcile(&world, at(0))), State::Available, "a month's says nothing of a day");
    spend(&mut world, "llm/a", Period::Day, 1_500_000);
    assert_eq!(state(&reconcile(&world, at(0))), State::BudgetExhausted);
    let raised = with_budget("{period: Day, usd: \"2\"}").objects;
    world.set_objects(raised);
    assert_eq!(state(&reconcile(&world, at(0))), State::Available);
}
