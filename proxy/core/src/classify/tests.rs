use super::*;

const MODEL: &str = "claude-opus-5";

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str, model: &str) -> Verdict {
    let error = ErrorFacts::parse(body.as_bytes());
    let headers = headers.iter().copied().collect();
    let error = (status >= 400).then_some(&error);
    classify(&Heard::Response { status, headers: &headers, error }, model, now())
}

fn event(body: &str) -> Verdict {
    let error = ErrorFacts::parse(body.as_bytes());
    classify(&Heard::ErrorEvent { headers: &Headers::default(), error: &error }, MODEL, now())
}

/// Label, and each cooldown as `reason[model] seconds`.
fn told(verdict: &Verdict) -> (&'static str, Vec<String>) {
    let one = |(scope, cooldown): &(CooldownScope, Cooldown)| {
        assert_eq!(cooldown.observed_at, now());
        let model = scope.model.as_ref().map(|model| format!("[{model}]")).unwrap_or_default();
        format!("{}{model} {}", scope.reason.as_label(), cooldown.until.duration_since(now()).as_secs())
    };
    (verdict.outcome.as_label(), verdict.cooldowns.iter().map(one).collect())
}

fn check(verdict: &Verdict, outcome: &str, cooldown: &str) {
    let expected: Vec<String> = Some(cooldown.to_owned()).filter(|one| !one.is_empty()).into_iter().collect();
    assert_eq!(told(verdict), (outcome, expected), "{verdict:?}");
}

fn anthropic(kind: &str, message: &str) -> String {
    format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#)
}

fn openai(kind: &str, code: &str, message: &str) -> String {
    format!(r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}"#)
}

#[test]
fn a_success_teaches_its_windows() {
    let verdict = answer(200, &[("anthropic-ratelimit-unified-5h-utilization", "0.5")], "", MODEL);
    check(&verdict, "success", "");
    assert_eq!(verdict.windows[0].0, "five_hour");
}

#[test]
fn a_rejected_window_limits_the_account_until_the_latest_reset_of_the_rejected_ones() {
    let body = anthropic("rate_limit_error", "This request would exceed your account's rate limit.");
    let five_hour = [
        ("anthropic-ratelimit-unified-status", "rejected"),
        ("anthropic-ratelimit-unified-5h-status", "rejected"),
        ("anthropic-ratelimit-unified-5h-reset", "1790003600"),
        ("anthropic-ratelimit-unified-7d-status", "allowed"),
        ("anthropic-ratelimit-unified-7d-reset", "1790500000"),
        ("anthropic-ratelimit-unified-overage-disabled-reason", "out_of_credits"),
    ];
    check(&answer(429, &five_hour, &body, MODEL), "quota_exhausted", "QuotaExhausted 3600");
    let mut both = five_hour.to_vec();
    both.push(("anthropic-ratelimit-unified-7d_oi-status", "rejected"));
    both.push(("anthropic-ratelimit-unified-7d_oi-reset", "1790007200"));
    check(&answer(429, &both, &body, MODEL), "quota_exhausted", "QuotaExhausted 7200");
}

#[test]
fn a_rejected_window_of_a_model_family_limits_that_family_only() {
    let headers = [
        ("anthropic-ratelimit-unified-5h-status", "allowed"),
        ("anthropic-ratelimit-unified-7d-status", "allowed_warning"),
        ("anthropic-ratelimit-unified-7d_oi-status", "rejected"),
        ("anthropic-ratelimit-unified-7d_oi-reset", "1790007200"),
    ];
    let body = anthropic("rate_limit_error", "limit");
    let verdict = answer(429, &headers, &body, MODEL);
    check(&verdict, "quota_exhausted", "QuotaExhausted[claude-*opus*] 7200");
    assert!(matches!(verdict.outcome, Outcome::QuotaExhausted { window, .. } if window == "seven_day_oi"));
}

#[test]
fn a_summary_without_windows_is_enough() {
    let headers = [
        ("anthropic-ratelimit-unified-status", "rejected"),
        ("anthropic-ratelimit-unified-reset", "1790001000"),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
    ];
    check(&answer(429, &headers, "", MODEL), "quota_exhausted", "QuotaExhausted 1000");
}

#[test]
fn codex_says_in_its_body_when_its_limit_ends() {
    let body = |rest: &str| format!(r#"{{"error":{{"type":"usage_limit_reached","message":"m"{rest}}}}}"#);
    let full = [
        ("x-codex-primary-used-percent", "100"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", "1790000900"),
    ];
    let at = r#","resets_at":1790000600,"resets_in_seconds":5430"#;
    check(&answer(429, &full, &body(at), "gpt-5"), "quota_exhausted", "QuotaExhausted 600");
    let within = r#","resets_in_seconds":5430"#;
    check(&answer(429, &full, &body(within), "gpt-5"), "quota_exhausted", "QuotaExhausted 5430");
    check(&answer(429, &full, &body(""), "gpt-5"), "quota_exhausted", "QuotaExhausted 900");
    check(&answer(429, &[], &body(""), "gpt-5"), "quota_exhausted", "QuotaExhausted 300");
}

#[test]
fn an_openai_account_without_money_is_left_alone_as_a_whole() {
    let body = openai("insufficient_quota", "insufficient_quota", "You exceeded your current quota");
    check(&answer(429, &[], &body, "gpt-5"), "quota_exhausted", "QuotaExhausted 1800");
    let body = openai("insufficient_quota", "credit_balance_exhausted", "m");
    check(&answer(429, &[], &body, "gpt-5"), "quota_exhausted", "QuotaExhausted 1800");
}

#[test]
fn too_quick_is_throttled_for_as_long_as_the_provider_says() {
    let body =
        anthropic("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit");
    check(&answer(429, &[("retry-after", "17")], &body, MODEL), "throttled", "Throttled 17");
    check(&answer(429, &[("retry-after-ms", "1500")], &body, MODEL), "throttled", "Throttled 1");
    let minute = [
        ("anthropic-ratelimit-unified-5h-status", "allowed"),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-09-21T14:13:50Z"),
    ];
    check(&answer(429, &minute, &body, MODEL), "throttled", "Throttled 30");
    let openai_headers = [
        ("x-ratelimit-limit-tokens", "1000"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "50.5s"),
    ];
    let body = openai("tokens", "rate_limit_exceeded", "Rate limit reached for gpt-5");
    check(&answer(429, &openai_headers, &body, "gpt-5"), "throttled", "Throttled 50");
    let body = openai("tokens", "rate_limit_exceeded", "Please try again in 6.57s.");
    check(&answer(429, &[], &body, "gpt-5"), "throttled", "Throttled 6");
}

#[test]
fn without_a_usable_time_a_throttled_account_is_set_aside_for_a_minute() {
    let body = anthropic("rate_limit_error", "m");
    for retry_after in ["0", "-30", "Infinity", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        check(&answer(429, &[("retry-after", retry_after)], &body, MODEL), "throttled", "Throttled 60");
    }
    check(&answer(429, &[("retry-after", "9999999999")], &body, MODEL), "throttled", "Throttled 691200");
    let body = r#"{"detail":"Selected model is at capacity. Please try a different model."}"#;
    check(&answer(429, &[], body, "gpt-5"), "throttled", "Throttled[gpt-5] 60");
}

#[test]
fn a_429_without_any_limits_says_nothing_of_the_account() {
    check(
        &answer(429, &[("x-should-retry", "true")], &anthropic("rate_limit_error", "Error"), MODEL),
        "windowless",
        "",
    );
    check(&answer(429, &[], "<html>Too many requests</html>", MODEL), "windowless", "");
}

#[test]
fn overload_is_no_quota_event() {
    check(&answer(529, &[], &anthropic("overloaded_error", "Overloaded"), MODEL), "overloaded", "");
    check(
        &answer(503, &[], &openai("service_unavailable_error", "server_is_overloaded", "m"), MODEL),
        "overloaded",
        "",
    );
    check(&answer(503, &[], &openai("x", "slow_down", "m"), MODEL), "overloaded", "");
    let long = answer(529, &[("retry-after", "3600")], "", MODEL);
    let Outcome::Overloaded { until: Some(until) } = long.outcome else { panic!("{long:?}") };
    assert_eq!(until.duration_since(now()).as_secs(), 60);
}

#[test]
fn a_rejected_credential_is_told_from_a_missing_permission() {
    check(
        &answer(401, &[], &anthropic("authentication_error", "invalid x-api-key"), MODEL),
        "credential_rejected",
        "",
    );
    check(&answer(401, &[], "", MODEL), "credential_rejected", "");
    check(
        &answer(403, &[], &anthropic("permission_error", "OAuth token has been revoked."), MODEL),
        "credential_rejected",
        "",
    );
    check(
        &answer(403, &[], &anthropic("permission_error", "no access"), MODEL),
        "forbidden",
        "Forbidden 1800",
    );
    check(&answer(403, &[], "<html>blocked</html>", MODEL), "forbidden", "Forbidden 1800");
}

#[test]
fn payment_and_permission_set_the_account_aside() {
    check(&answer(402, &[], &anthropic("billing_error", "pay"), MODEL), "forbidden", "Forbidden 1800");
    let region = openai("invalid_request_error", "unsupported_country_region_territory", "m");
    check(&answer(403, &[], &region, "gpt-5"), "forbidden", "Forbidden 1800");
    let plan = r#"{"error":{"type":"usage_not_included","message":"upgrade"}}"#;
    check(&answer(429, &[], plan, "gpt-5"), "forbidden", "Forbidden 1800");
    let spend = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    check(&answer(429, &[("retry-after", "3")], spend, MODEL), "forbidden", "Forbidden 1800");
    let credits = [
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("anthropic-ratelimit-unified-overage-disabled-reason", "out_of_credits"),
    ];
    check(&answer(429, &credits, "", MODEL), "forbidden", "Forbidden[claude-*opus*] 1800");
    let low =
        anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API.");
    check(&answer(400, &[], &low, MODEL), "forbidden", "Forbidden 1800");
    let model = anthropic("permission_error", "Your organization may not use claude-opus-5");
    check(&answer(403, &[], &model, MODEL), "forbidden", "Forbidden[claude-*opus*] 1800");
}

#[test]
fn a_missing_model_is_remembered_for_the_account() {
    let expected = "ModelUnavailable[claude-opus-5] 300";
    check(
        &answer(404, &[], &anthropic("not_found_error", "model: claude-opus-5"), MODEL),
        "model_unavailable",
        expected,
    );
    let body = openai("invalid_request_error", "model_not_found", "The model does not exist");
    check(&answer(404, &[], &body, "gpt-9"), "model_unavailable", "ModelUnavailable[gpt-9] 300");
    let body = r#"{"detail":"The 'gpt-9' model is not supported when using Codex with a ChatGPT account."}"#;
    check(&answer(400, &[], body, "gpt-9"), "model_unavailable", "ModelUnavailable[gpt-9] 300");
    check(&answer(404, &[], &anthropic("not_found_error", "file_1 not found"), MODEL), "client_fault", "");
    check(&answer(404, &[], &anthropic("not_found_error", "model: claude-opus-5"), ""), "client_fault", "");
}

#[test]
fn the_client_s_own_faults_are_relayed() {
    for (status, body) in [
        (400, anthropic("invalid_request_error", "prompt is too long: 205351 tokens > 200000 maximum")),
        (400, openai("invalid_request_error", "context_length_exceeded", "m")),
        (403, openai("invalid_request_error", "cyber_policy", "m")),
        (409, anthropic("conflict_error", "m")),
        (413, "<html>too large</html>".to_owned()),
        (422, String::new()),
    ] {
        check(&answer(status, &[], &body, MODEL), "client_fault", "");
    }
}

#[test]
fn failures_of_the_provider_say_nothing_of_the_account() {
    for status in [500, 502, 503, 504, 520] {
        check(&answer(status, &[], "<html>bad gateway</html>", MODEL), "server_fault", "");
    }
    let unreachable = classify(&Heard::Transport(TransportError::Tls), MODEL, now());
    check(&unreachable, "unreachable", "");
    check(&classify(&Heard::ClientLeft, MODEL, now()), "client_left", "");
}

#[test]
fn an_error_as_first_event_of_a_stream_means_what_it_would_mean_as_a_response() {
    check(&event(&anthropic("overloaded_error", "Overloaded")), "overloaded", "");
    check(&event(&anthropic("rate_limit_error", "m")), "windowless", "");
    check(&event(&anthropic("api_error", "m")), "server_fault", "");
    check(&event(&anthropic("invalid_request_error", "m")), "client_fault", "");
    check(&event(&anthropic("authentication_error", "m")), "credential_rejected", "");
    let nested = r#"{"type":"error","sequence_number":2,"error":{"type":"tokens","code":"rate_limit_exceeded",
        "message":"m","param":null,"headers":{"x-ratelimit-limit-tokens":"10","x-ratelimit-remaining-tokens":"0",
        "x-ratelimit-reset-tokens":"50.5s"}}}"#;
    check(&event(nested), "throttled", "Throttled 50");
    let failed = |code: &str| {
        format!(
            r#"{{"type":"response.failed","response":{{"status":"failed","error":{{"code":"{code}","message":"m"}}}}}}"#
        )
    };
    check(&event(&failed("server_is_overloaded")), "overloaded", "");
    check(&event(&failed("insufficient_quota")), "quota_exhausted", "QuotaExhausted 1800");
    check(&event(&failed("usage_not_included")), "forbidden", "Forbidden 1800");
    check(&event(&failed("context_length_exceeded")), "client_fault", "");
    check(&event(&failed("server_error")), "server_fault", "");
    check(&event(&failed("invalid_image_url")), "client_fault", "");
    let frame = r#"{"type":"error","status":401,"error":{"type":"x","message":"m"}}"#;
    check(&event(frame), "credential_rejected", "");
}
