use super::*;

fn table() -> PriceTable {
    PriceTable::built_in().unwrap()
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input_tokens: input, output_tokens: output, ..Usage::default() }
}

fn cost(provider: &str, model: &str, usage: &Usage) -> Option<String> {
    table().cost(provider, model, usage).map(NanoUsd::to_decimal)
}

#[test]
fn every_class_has_its_own_price() {
    let usage = Usage {
        input_tokens: 1_000,
        cache_read_tokens: 10_000,
        cache_write_5m_tokens: 100_000,
        cache_write_1h_tokens: 200_000,
        output_tokens: 500,
        reasoning_tokens: 1_500,
    };
    // 3/0.3/3.75/6/15 dollars per million tokens; reasoning costs what output does.
    let expected = 0.003 + 0.003 + 0.375 + 1.2 + 0.0075 + 0.0225;
    assert_eq!(cost("anthropic", "claude-sonnet-4-5", &usage), Some(format!("{expected}")));
}

#[test]
fn a_model_is_found_without_its_date_its_vendor_or_its_newest_suffix() {
    let usage = tokens(1_000_000, 0);
    for (provider, model, dollars) in [
        ("anthropic", "claude-opus-5", "5"),
        ("claude-code", "claude-opus-5-20260801", "5"),
        ("claude-code", "claude-opus-5-5-20260801", "4"),
        ("anthropic", "claude-opus-5-latest", "5"),
        ("anthropic", "Claude-Opus-5[1m]", "5"),
        ("anthropic", "claude-opus-5@20260801", "5"),
        ("openai", "gpt-4.1-2025-04-14", "2"),
        ("openai", "gpt-4.1-2099-01-01", "2"),
        ("zai", "glm-4.7", "0.6"),
        ("minimax", "minimax-m2.5", "0.3"),
        ("openrouter", "anthropic/claude-opus-5", "5"),
        ("openrouter", "z-ai/glm-4.7", "0.6"),
        ("openai-compatible", "glm-4.7", "0.6"),
    ] {
        assert_eq!(cost(provider, model, &usage).as_deref(), Some(dollars), "{provider} {model}");
    }
}

#[test]
fn a_model_that_nobody_knows_has_no_cost_rather_than_a_wrong_one() {
    for (provider, model) in [
        ("anthropic", "opus"),
        ("anthropic", ""),
        ("anthropic", "claude-opus"),
        ("openai", "claude-opus-5"),
        ("ollama", "llama3.3"),
        ("nobody", "gpt-"),
    ] {
        assert_eq!(cost(provider, model, &tokens(1, 1)), None, "{provider} {model}");
    }
}

#[test]
fn a_long_prompt_has_the_price_of_long_prompts() {
    let short = Usage { input_tokens: 50_000, cache_read_tokens: 50_000, ..Usage::default() };
    let long = Usage { input_tokens: 50_001, cache_read_tokens: 50_000, ..Usage::default() };
    assert_eq!(cost("anthropic", "claude-haiku-5-5", &short).as_deref(), Some("0.0055"));
    assert_eq!(cost("anthropic", "claude-haiku-5-5", &long).as_deref(), Some("0.0275005"));
}

#[test]
fn an_entry_of_your_own_replaces_one_and_leaves_the_others() {
    let table = table()
        .with(r#"{"anthropic": {"claude-opus-5": {"input": 1}}, "mine": {"m": {"input": 2}}}"#)
        .unwrap();
    let nanos = |provider, model| table.cost(provider, model, &tokens(1_000_000, 0)).map(NanoUsd::to_decimal);
    assert_eq!(nanos("anthropic", "claude-opus-5").as_deref(), Some("1"));
    assert_eq!(nanos("anthropic", "claude-sonnet-5").as_deref(), Some("2"));
    assert_eq!(nanos("openai-compatible", "mine/m").as_deref(), Some("2"));
    assert!(table.clone().with(r#"{"x": {"m": {"input": -1}}}"#).is_err());
    assert!(table.with(r#"{"x": {"m": {"inptu": 1}}}"#).is_err());
}

#[test]
fn the_most_tokens_there_can_be_do_not_overflow() {
    let usage = tokens(u64::MAX, u64::MAX);
    assert_eq!(table().cost("anthropic", "claude-opus-5", &usage), Some(NanoUsd(u64::MAX)));
}
