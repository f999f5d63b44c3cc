use penstock_proto::secret::Secret;
use penstock_proto::snapshot::{AccountLimits, Egress};

use super::*;

fn account(scheme: CredentialScheme) -> Account {
    Account {
        id: "llm/a".parse().unwrap(),
        provider: "anthropic".into(),
        family: "anthropic".into(),
        dialects: Vec::new(),
        base_url: "https://api.anthropic.com".into(),
        credential: Some(Credential {
            scheme,
            secret: Secret::new("sk-ours"),
            account_id: Some("acct-1".into()),
            fingerprint: "f".into(),
            expires_at: None,
        }),
        priority: 0,
        paused: false,
        allow_models: Vec::new(),
        model_map: Vec::new(),
        limits: AccountLimits::default(),
        headers: vec![("x-team".into(), Secret::new("search"))],
        egress: Egress::default(),
        session_tracked: false,
        auto_fallback: true,
    }
}

fn map(lines: &[(&'static str, &str)]) -> Headers {
    lines.iter().copied().collect()
}

fn shown(name: &[u8], value: &[u8]) -> String {
    format!("{}: {}", text(name).unwrap(), text(value).unwrap())
}

/// Every line, sorted.
fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

fn sent(client: &[(&'static str, &str)], scheme: CredentialScheme, streaming: bool) -> Vec<String> {
    let (client, account) = (map(client), AccountHeaders::new(&account(scheme)).unwrap());
    let sent = to_upstream(&client, &account, streaming, true);
    sorted(sent.iter().map(|line| shown(line.name, &line.value)))
}

#[test]
fn a_body_that_was_decoded_is_not_called_encoded_and_an_account_s_own_headers_come_first() {
    let client = map(&[("content-encoding", "gzip"), ("x-team", "theirs"), ("x-team", "too")]);
    let account = AccountHeaders::new(&account(CredentialScheme::None)).unwrap();
    let names = |encoded| {
        let sent = to_upstream(&client, &account, false, encoded);
        sent.iter().map(|line| shown(line.name, &line.value)).collect::<Vec<_>>()
    };
    assert_eq!(names(true), ["content-encoding: gzip", "x-team: search"]);
    assert_eq!(names(false), ["x-team: search"]);
}

#[test]
fn no_credential_cookie_or_hop_by_hop_header_of_the_client_reaches_the_provider() {
    let client = [
        ("host", "localhost:8080"),
        ("authorization", "Bearer psk-client"),
        ("x-api-key", "psk-client"),
        ("api-key", "psk-client"),
        ("cookie", "a=b"),
        ("chatgpt-account-id", "theirs"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "keep-alive"),
        ("connection", "keep-alive, X-Hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("content-length", "12"),
        ("expect", "100-continue"),
        ("x-penstock-session", "s"),
        ("x-penstock-anything", "s"),
        ("content-type", "application/json"),
        ("user-agent", "anthropic-python/2"),
        ("x-stainless-lang", "python"),
        ("accept-encoding", "gzip"),
    ];
    assert_eq!(
        sent(&client, CredentialScheme::AnthropicApiKey, false),
        [
            "accept-encoding: gzip",
            "content-type: application/json",
            "user-agent: anthropic-python/2",
            "x-api-key: sk-ours",
            "x-stainless-lang: python",
            "x-team: search",
        ]
    );
}

#[test]
fn each_scheme_presents_its_credential() {
    for (scheme, expected) in [
        (CredentialScheme::AnthropicApiKey, vec!["x-api-key: sk-ours", "x-team: search"]),
        (CredentialScheme::Bearer, vec!["authorization: Bearer sk-ours", "x-team: search"]),
        (
            CredentialScheme::AnthropicOauth,
            vec!["anthropic-beta: oauth-2025-04-20", "authorization: Bearer sk-ours", "x-team: search"],
        ),
        (
            CredentialScheme::Chatgpt,
            vec!["authorization: Bearer sk-ours", "chatgpt-account-id: acct-1", "x-team: search"],
        ),
        (CredentialScheme::None, vec!["x-team: search"]),
    ] {
        assert_eq!(sent(&[], scheme, false), expected, "{scheme:?}");
    }
}

#[test]
fn the_oauth_beta_is_appended_once_and_repeated_lines_survive() {
    let client = [("anthropic-beta", "a,b"), ("anthropic-beta", "c"), ("x-repeat", "1"), ("x-repeat", "2")];
    assert_eq!(
        sent(&client, CredentialScheme::AnthropicOauth, false),
        [
            "anthropic-beta: a,b,oauth-2025-04-20",
            "anthropic-beta: c",
            "authorization: Bearer sk-ours",
            "x-repeat: 1",
            "x-repeat: 2",
            "x-team: search",
        ]
    );
    let has_it = [("anthropic-beta", "a, oauth-2025-04-20")];
    let sent = sent(&has_it, CredentialScheme::AnthropicOauth, false);
    assert_eq!(sent[0], "anthropic-beta: a, oauth-2025-04-20");
}

#[test]
fn a_stream_is_asked_for_unencoded() {
    let sent = sent(&[("accept-encoding", "gzip, br")], CredentialScheme::None, true);
    assert_eq!(sent[0], "accept-encoding: identity");
}

#[test]
fn cookies_and_hop_by_hop_headers_of_the_provider_do_not_reach_the_client() {
    let mut answer = map(&[
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("set-cookie", "__cf_bm=1"),
        ("set-cookie", "b=2"),
        ("alt-svc", "h3=\":443\""),
        ("proxy-authenticate", "Basic"),
        ("transfer-encoding", "chunked"),
        ("request-id", "req_1"),
        ("retry-after", "3"),
        ("x-repeat", "1"),
        ("x-repeat", "2"),
    ]);
    to_client(&mut answer);
    let left = sorted(answer.iter().map(|line| shown(line.name(), line.value())));
    assert_eq!(left, ["request-id: req_1", "retry-after: 3", "x-repeat: 1", "x-repeat: 2"]);
}

#[test]
fn what_http_cannot_carry_is_refused_without_telling_it() {
    let mut broken = account(CredentialScheme::Bearer);
    broken.credential.as_mut().unwrap().secret = Secret::new("sk\nours");
    let error = AccountHeaders::new(&broken).unwrap_err().to_string();
    assert!(!error.contains("ours"), "{error}");
    let good = AccountHeaders::new(&account(CredentialScheme::Bearer)).unwrap();
    assert!(!format!("{good:?}").contains("sk-ours"));
    let mut smuggling = account(CredentialScheme::Bearer);
    smuggling.headers = vec![("Transfer-Encoding".into(), Secret::new("chunked"))];
    assert!(AccountHeaders::new(&smuggling).is_err());
}
