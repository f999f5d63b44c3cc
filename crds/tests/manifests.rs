//! Manifests as people write them.

use penstock_crds::account::NamespacesFrom;
use penstock_crds::pool::Strategy;
use penstock_crds::{AccessGrant, AccountPool, Provider, ProviderAccount};

const ACCOUNT: &str = r#"
apiVersion: penstock.dev/v1alpha1
kind: ProviderAccount
metadata: { name: claude-team-1, namespace: llm }
spec:
  provider: anthropic
  baseUrl: https://api.anthropic.com
  credentials:
    secretRef: { name: claude-team-1 }
  priority: 0
  paused: false
  autoFallback: true
  autoRefresh: false
  models:
    allow: ["claude-*"]
    map: { "claude-sonnet-*": ["glm-4.7"] }
  limits:
    maxConcurrentRequests: 20
    requestsPerMinute: 50
    tokensPerMinute: 400000
    windowCeilings: { fiveHour: 90, sevenDay: 95 }
  budget: { period: Month, usd: "200" }
  headers: { x-team: search }
  egress: { proxyUrl: http://egress:3128, caBundle: { configMapRef: { name: corp-ca } } }
  allowedNamespaces: { from: Same }
"#;

const POOL: &str = r#"
apiVersion: penstock.dev/v1alpha1
kind: AccountPool
metadata: { name: search, namespace: llm }
spec:
  accounts: { selector: { matchLabels: { team: search } } }
  strategy: Session
  affinity: { ttl: 1h }
  retry: { attempts: 4, perTryTimeout: 10m, overloadRetries: 2 }
  onExhausted: { hold: 20s }
  fallbacks:
  - match: { models: ["claude-opus-*"] }
    targets:
    - { pool: self }
    - { account: bedrock-eu, model: claude-opus-5 }
    - { pool: self, model: claude-sonnet-5 }
  capture: { payloads: Off }
"#;

const GRANT: &str = r"
apiVersion: penstock.dev/v1alpha1
kind: AccessGrant
metadata: { name: search, namespace: llm }
spec:
  subjects:
  - { kind: ServiceAccount, name: indexer, namespace: search }
  - { kind: ClientKey, name: laptop }
  limits: { requestsPerMinute: 10 }
";

#[test]
fn a_whole_account_reads_and_means_what_it_says() {
    let account: ProviderAccount = serde_saphyr::from_str(ACCOUNT).expect("the example is good");
    let spec = &account.spec;
    assert_eq!(spec.provider, Provider::Anthropic);
    assert_eq!(spec.models.map["claude-sonnet-*"], ["glm-4.7"]);
    assert_eq!(spec.limits.window_ceilings["fiveHour"], 90);
    assert_eq!(spec.budget.as_ref().map(|budget| budget.usd.micros()), Some(200_000_000));
    assert_eq!(spec.allowed_namespaces.as_ref().map(|allowed| allowed.from), Some(NamespacesFrom::Same));
    let again: ProviderAccount =
        serde_json::from_value(serde_json::to_value(&account).expect("it can be written")).expect("and read");
    assert_eq!(again, account);
}

#[test]
fn what_an_account_does_not_say_has_the_documented_default() {
    let account: ProviderAccount = serde_saphyr::from_str(
        "{apiVersion: penstock.dev/v1alpha1, kind: ProviderAccount, metadata: {name: a}, spec: {provider: ollama}}",
    )
    .expect("a provider is enough");
    assert!(account.spec.auto_fallback && !account.spec.paused && !account.spec.auto_refresh);
    assert_eq!(account.spec, penstock_crds::ProviderAccountSpec::new(Provider::Ollama, None));
}

#[test]
fn a_whole_pool_and_a_grant_read_and_have_the_documented_defaults() {
    let pool: AccountPool = serde_saphyr::from_str(POOL).expect("the example is good");
    assert_eq!(pool.spec.strategy, Strategy::Session);
    assert_eq!(pool.spec.fallbacks[0].targets.len(), 3);
    let empty: AccountPool = serde_saphyr::from_str(
        "{apiVersion: penstock.dev/v1alpha1, kind: AccountPool, metadata: {name: a}, spec: {}}",
    )
    .expect("everything has a default");
    assert_eq!(empty.spec.affinity.ttl.get().as_secs(), 3600);
    assert_eq!(empty.spec.retry.per_try_timeout.get().as_secs(), 600);
    let grant: AccessGrant = serde_saphyr::from_str(GRANT).expect("the example is good");
    assert_eq!(grant.spec.pool, "default");
}

#[test]
fn a_mistake_names_what_would_be_right() {
    let error = |from: &str, to: &str| {
        let manifest = ACCOUNT.replace(from, to);
        serde_saphyr::from_str::<ProviderAccount>(&manifest).expect_err(to).to_string()
    };
    let provider = error("provider: anthropic", "provider: antropic");
    assert!(provider.contains("antropic") && provider.contains("claude-code"), "{provider}");
    let usd = error("usd: \"200\"", "usd: lots");
    assert!(usd.contains("\"200\" or \"12.50\""), "{usd}");
}
