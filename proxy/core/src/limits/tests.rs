use penstock_llm::usage::{CodexLimits, CodexWindow};

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn headers(lines: &[(&'static str, &str)]) -> Headers {
    lines.iter().copied().collect()
}

/// Name, percent, seconds until the reset, status, remaining.
type Row = (String, f64, Option<i64>, WindowStatus, Option<u64>);

/// What is learned, sorted by name.
fn learned(lines: &[(&'static str, &str)]) -> Vec<Row> {
    let mut all: Vec<_> = learn(&headers(lines), now())
        .into_iter()
        .map(|(name, w)| {
            let percent = (w.utilization * 10.0).round() / 10.0;
            let resets = w.resets_at.map(|at| at.duration_since(now()).as_secs());
            (name.into_owned(), percent, resets, w.status, w.remaining)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn unified_windows_are_read_by_open_ended_name() {
    let seen = learned(&[
        ("anthropic-ratelimit-unified-status", "allowed_warning"),
        ("anthropic-ratelimit-unified-reset", "1790003600"),
        ("anthropic-ratelimit-unified-5h-status", "allowed"),
        ("anthropic-ratelimit-unified-5h-reset", "1790003600"),
        ("anthropic-ratelimit-unified-5h-utilization", "0.42"),
        ("anthropic-ratelimit-unified-7d_oi-status", "rejected"),
        ("anthropic-ratelimit-unified-7d_oi-reset", "2026-09-21T15:13:20Z"),
        ("anthropic-ratelimit-unified-7d_oi-utilization", "1.01"),
        ("anthropic-ratelimit-unified-30d-status", "allowed"),
        ("anthropic-ratelimit-unified-overage-status", "rejected"),
        ("anthropic-ratelimit-unified-overage-disabled-reason", "out_of_credits"),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
        ("anthropic-ratelimit-unified-fallback-percentage", "0.2"),
    ]);
    assert_eq!(
        seen,
        [
            ("30d".to_owned(), 0.0, None, WindowStatus::Allowed, None),
            ("five_hour".to_owned(), 42.0, Some(3600), WindowStatus::Allowed, None),
            ("seven_day_oi".to_owned(), 101.0, Some(3600), WindowStatus::Rejected, None),
        ]
    );
}

#[test]
fn counted_limits_of_both_vendors_become_percentages() {
    let seen = learned(&[
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-09-21T14:14:00Z"),
        ("anthropic-ratelimit-input-tokens-limit", "40000"),
        ("anthropic-ratelimit-input-tokens-remaining", "30000"),
        ("anthropic-priority-output-tokens-limit", "100"),
        ("anthropic-priority-output-tokens-remaining", "50"),
        ("anthropic-fast-input-tokens-limit", "0"),
        ("anthropic-fast-input-tokens-remaining", "0"),
    ]);
    assert_eq!(
        seen,
        [
            ("input_tokens".to_owned(), 25.0, None, WindowStatus::Unknown, Some(30000)),
            ("priority_output_tokens".to_owned(), 50.0, None, WindowStatus::Unknown, Some(50)),
            ("requests".to_owned(), 100.0, Some(40), WindowStatus::Unknown, Some(0)),
        ]
    );
    let seen = learned(&[
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1m30s"),
        ("x-ratelimit-limit-tokens", "1000"),
        ("x-ratelimit-remaining-tokens", "250"),
        ("x-ratelimit-reset-tokens", "6000ms"),
        ("x-ratelimit-limit-project-tokens", "10"),
        ("x-ratelimit-remaining-project-tokens", "10"),
    ]);
    assert_eq!(
        seen,
        [
            ("project_tokens".to_owned(), 0.0, None, WindowStatus::Unknown, Some(10)),
            ("requests".to_owned(), 1.7, Some(90), WindowStatus::Unknown, Some(59)),
            ("tokens".to_owned(), 75.0, Some(6), WindowStatus::Unknown, Some(250)),
        ]
    );
}

#[test]
fn codex_windows_are_named_by_their_length() {
    let seen = learned(&[
        ("x-codex-primary-used-percent", "9.5"),
        ("x-codex-primary-window-minutes", "10079"),
        ("x-codex-primary-reset-at", "1790500000"),
        ("x-codex-secondary-used-percent", "80"),
        ("x-codex-secondary-window-minutes", "299"),
        ("x-codex-secondary-reset-after-seconds", "120"),
        ("x-codex-gpt-x-primary-used-percent", "5"),
        ("x-codex-gpt-x-primary-window-minutes", "300"),
        ("x-codex-gpt-x-primary-reset-at", "1790000100"),
        ("x-codex-absent-primary-used-percent", "0"),
        ("x-codex-absent-primary-window-minutes", "0"),
        ("x-codex-credits-balance", "12"),
        ("x-codex-primary-over-secondary-limit-percent", "3"),
    ]);
    assert_eq!(
        seen,
        [
            ("five_hour".to_owned(), 80.0, Some(120), WindowStatus::Unknown, None),
            ("five_hour_gpt_x".to_owned(), 5.0, Some(100), WindowStatus::Unknown, None),
            ("seven_day".to_owned(), 9.5, Some(500_000), WindowStatus::Unknown, None),
        ]
    );
}

#[test]
fn the_codex_event_says_the_same_as_its_headers() {
    let reset = Timestamp::from_second(1_790_000_900).unwrap();
    let window = |name: &str, minutes, resets_at, resets_in| CodexWindow {
        name: name.to_owned(),
        used_percent: 9.0,
        minutes,
        resets_at,
        resets_in,
    };
    let windows = vec![
        // What is longer is the week, whatever it is called.
        window("primary", Some(10_079), Some(reset), None),
        window("secondary", Some(300), None, Some(std::time::Duration::from_secs(900))),
        window("other", Some(300), Some(reset), None),
        window("primary", None, Some(reset), None),
        window("primary", Some(300), None, None),
        window("primary", Some(20_000), Some(reset), None),
    ];
    let seen = learn_codex_event(&CodexLimits { plan: None, windows }, now());
    let seen: Vec<_> = seen.iter().map(|(name, w)| (name.as_ref(), w.utilization, w.resets_at)).collect();
    let in_900 = now() + SignedDuration::from_secs(900);
    assert_eq!(seen, [("seven_day", 9.0, Some(reset)), ("five_hour", 9.0, Some(in_900))]);
}

#[test]
fn retry_after_is_read_in_all_its_spellings_and_never_below_a_second_or_beyond_eight_days() {
    for (name, value, expected) in [
        ("retry-after", "30", Some(30.0)),
        ("retry-after", "1.5", Some(1.5)),
        ("retry-after", "0.2", Some(1.0)),
        ("retry-after-ms", "2500", Some(2.5)),
        ("retry-after", "9999999999", Some(8.0 * 86_400.0)),
        ("retry-after", "0", None),
        ("retry-after", "-30", None),
        ("retry-after", "Infinity", None),
        ("retry-after", "NaN", None),
        ("retry-after", "soon", None),
        ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT", None),
    ] {
        let at = retry_after(&headers(&[(name, value)]), now());
        let wait = at.map(|at| at.duration_since(now()).as_secs_f64());
        assert_eq!(wait, expected, "{name}: {value}");
    }
    let date = "Mon, 21 Sep 2026 15:13:20 GMT";
    let expected: Timestamp = "2026-09-21T15:13:20Z".parse().unwrap();
    assert_eq!(retry_after(&headers(&[("retry-after", date)]), now()), Some(expected));
    let both = headers(&[("retry-after", "3"), ("retry-after-ms", "2100")]);
    let wait = retry_after(&both, now()).unwrap().duration_since(now());
    assert_eq!(wait, SignedDuration::from_millis(2100));
}

#[test]
fn values_that_cannot_be_read_are_as_if_they_were_not_there() {
    assert!(learned(&[("anthropic-ratelimit-requests-limit", "many")]).is_empty());
    assert!(learned(&[("anthropic-ratelimit-unified-5h-utilization", "NaN")]).is_empty());
    assert!(learned(&[("anthropic-ratelimit-unified-5h-status", "splendid")]).is_empty());
    assert!(learned(&[("x-ratelimit-reset-requests", "1s")]).is_empty());
    assert!(learned(&[("anthropic-organization-id", "x"), ("x-request-id", "y")]).is_empty());
}
