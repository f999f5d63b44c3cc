use super::*;

fn find_with(path: &str, query: Option<&str>, headers: &[(&'static str, &str)]) -> Option<Route> {
    let headers = headers.iter().copied().collect();
    let providers = Providers::new(["zai", "openrouter"]);
    route(&Method::POST, path, query, &headers, &providers).ok()
}

fn find(path: &str) -> Route {
    find_with(path, None, &[]).unwrap_or_else(|| panic!("{path}"))
}

const ANTHROPIC: Selector = Selector::Family(Family::Anthropic);
const OPENAI: Selector = Selector::Family(Family::Openai);

#[test]
fn a_provider_s_prefix_is_removed_exactly_once() {
    for (path, base, expected) in [
        ("/v1/anthropic/v1/messages", "https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("/v1/openai/responses", "https://api.openai.com/v1", "https://api.openai.com/v1/responses"),
        (
            "/v1/openai/chat/completions",
            "https://api.openai.com/v1/",
            "https://api.openai.com/v1/chat/completions",
        ),
        ("/v1/zai/v1/zai/thing", "http://z", "http://z/v1/zai/thing"),
        (
            "/v1/codex/responses",
            "https://chatgpt.com/backend-api/codex",
            "https://chatgpt.com/backend-api/codex/responses",
        ),
        ("/v1/anthropic", "http://a", "http://a"),
        ("/v1/anthropic/", "http://a", "http://a/"),
        ("/v1/messages", "https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("/v1/chat/completions", "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("/v1/responses", "https://api.openai.com/v1", "https://api.openai.com/v1/responses"),
        ("/responses", "https://api.openai.com/v1", "https://api.openai.com/v1/responses"),
        ("/v1/responses/compact", "http://o/v1", "http://o/v1/responses/compact"),
        ("/v1/embeddings", "http://o/v1", "http://o/v1/embeddings"),
        ("/v1/penstock/anthropic/messages", "http://a", "http://a/v1/messages"),
        ("/v1/ccflare/openai/responses", "http://o/v1", "http://o/v1/responses"),
    ] {
        assert_eq!(find(path).url(base, None), expected, "{path}");
    }
    let beta = find("/v1/messages").url("http://a", Some("beta=true"));
    assert_eq!(beta, "http://a/v1/messages?beta=true");
}

#[test]
fn every_path_has_its_operation_dialect_and_accounts() {
    use Dialect::{AnthropicMessages as A, OpenaiChat as C, OpenaiResponses as R};
    for (path, operation, dialect, selector) in [
        ("/v1/anthropic/v1/messages", Operation::Messages, Some(A), ANTHROPIC),
        ("/v1/anthropic/v1/messages/count_tokens", Operation::CountTokens, Some(A), ANTHROPIC),
        ("/v1/anthropic/v1/files", Operation::Other, None, ANTHROPIC),
        ("/v1/anthropic/v1/models", Operation::Models, None, ANTHROPIC),
        ("/v1/openai/responses", Operation::Responses, Some(R), OPENAI),
        ("/v1/openai/chat/completions", Operation::ChatCompletions, Some(C), OPENAI),
        ("/v1/zai/v1/messages", Operation::Messages, Some(A), Selector::Provider("zai".into())),
        ("/v1/messages", Operation::Messages, Some(A), Selector::ByModel),
        ("/v1/messages/batches/b1", Operation::Other, None, ANTHROPIC),
        ("/v1/responses", Operation::Responses, Some(R), Selector::ByModel),
        ("/responses/compact", Operation::Compact, Some(R), Selector::ByModel),
        ("/v1/responses/resp_1/cancel", Operation::Other, None, OPENAI),
        ("/v1/embeddings", Operation::Embeddings, Some(C), Selector::ByModel),
        ("/v1/penstock/openai/chat/completions", Operation::ChatCompletions, Some(C), Selector::ByModel),
        ("/backend-api/codex/responses", Operation::Responses, Some(R), Selector::Provider("codex".into())),
        ("/", Operation::Other, None, ANTHROPIC),
    ] {
        let found = find(path);
        assert_eq!(
            (found.operation, found.dialect, found.selector),
            (operation, dialect, selector),
            "{path}"
        );
    }
}

#[test]
fn the_list_of_models_has_the_shape_that_the_headers_ask_for() {
    let anthropic = find_with("/v1/models", None, &[("anthropic-version", "2023-06-01")]).unwrap();
    assert_eq!(
        (anthropic.selector.clone(), anthropic.url("http://a", None)),
        (ANTHROPIC, "http://a/v1/models".into())
    );
    let key = find_with("/v1/models/claude-x", None, &[("x-api-key", "k")]).unwrap();
    assert_eq!(key.url("http://a", None), "http://a/v1/models/claude-x");
    let openai = find_with("/v1/models", None, &[("authorization", "Bearer k")]).unwrap();
    assert_eq!(
        (openai.selector.clone(), openai.url("http://o/v1", None)),
        (OPENAI, "http://o/v1/models".into())
    );
    let codex = find_with("/v1/models", Some("client_version=0.1"), &[]).unwrap();
    assert_eq!(codex.selector, Selector::Provider("codex".into()));
}

#[test]
fn what_is_no_route_is_told_which_there_are() {
    for path in
        ["/v2/messages", "/api/accounts", "/v1", "/v1/", "/v1/nobody/v1/messages", "/v1messages", "//"]
    {
        assert!(find_with(path, None, &[]).is_none(), "{path}");
    }
    let error = route(&Method::GET, "/nope", None, &Headers::default(), &Providers::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("GET /nope") && error.contains("/v1/messages"), "{error}");
}

#[test]
fn a_model_s_prefix_names_the_family_or_the_provider_and_is_not_sent() {
    let providers = Providers::new(["zai"]);
    let by_path = find("/v1/penstock/anthropic/messages");
    for (model, selector, sent) in [
        ("anthropic/claude-x", ANTHROPIC, "claude-x"),
        ("openai/gpt-5", OPENAI, "gpt-5"),
        ("codex/gpt-5", Selector::Provider("codex".into()), "gpt-5"),
        ("zai/glm-5", Selector::Provider("zai".into()), "glm-5"),
        ("meta/llama", Selector::ByModel, "meta/llama"),
        ("zai/", Selector::ByModel, "zai/"),
        ("claude-x", Selector::ByModel, "claude-x"),
    ] {
        assert_eq!(by_path.resolve(model, &providers), (selector, sent), "{model}");
    }
    let native = find("/v1/openrouter/chat/completions");
    assert_eq!(native.resolve("anthropic/claude-x", &providers).1, "anthropic/claude-x");
}

#[test]
fn a_model_s_name_says_whose_it_is() {
    for (model, family) in [
        ("claude-opus-5", ModelFamily::Of(Family::Anthropic)),
        ("gpt-5-codex", ModelFamily::Of(Family::Openai)),
        ("o3-mini", ModelFamily::Of(Family::Openai)),
        ("codex-mini-latest", ModelFamily::Of(Family::Openai)),
        ("text-embedding-3-small", ModelFamily::Of(Family::Openai)),
        ("gpt-oss-120b", ModelFamily::Unknown),
        ("glm-4.7", ModelFamily::Unknown),
        ("", ModelFamily::Unknown),
    ] {
        assert_eq!(family_of(model), family, "{model}");
    }
}

#[test]
fn errors_are_phrased_in_the_format_of_the_route() {
    assert_eq!(find("/v1/anthropic/v1/files").error_dialect(), Dialect::AnthropicMessages);
    assert_eq!(find("/v1/openai/files").error_dialect(), Dialect::OpenaiChat);
    assert_eq!(find("/v1/responses").error_dialect(), Dialect::OpenaiResponses);
}
