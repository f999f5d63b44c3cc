//! What a person sees of accounts, pools and grants, told as stories.

#[path = "common/world.rs"]
mod world;

use std::collections::BTreeMap;

use penstock_controller_core::snapshot::Viewer;
use penstock_controller_core::world::Observed;
use penstock_controller_core::world::World;
use penstock_controller_core::{Plan, reconcile};
use penstock_crds::account::status::State;
use penstock_proto::ids::{ObjectId, ResourceKind};
use penstock_proto::limits::{CooldownReason, WindowStatus};
use penstock_proto::resource::{Change, Resource};

use world::{
    account, at, condition, grant, id, limited, names, observation, pool, proto_account, secret, window,
    world,
};

fn state(plan: &Plan, name: &str) -> (State, String) {
    let status = &plan.accounts[&id(name)];
    (status.state.expect("a state"), status.reason.clone().expect("a reason"))
}

#[test]
fn an_account_with_its_secret_is_available_and_complete() {
    let world = world(
        [account("llm/a", "provider: anthropic\ncredentials: {secretRef: {name: a}}")],
        [secret("llm/a", &[("apiKey", "sk-1\n")])],
    );
    let plan = reconcile(&world, at(0));
    assert_eq!(state(&plan, "llm/a"), (State::Available, "Available".into()));
    let account = proto_account(&plan, "llm/a");
    assert_eq!(
        (account.base_url.as_str(), account.family.as_str()),
        ("https://api.anthropic.com", "anthropic")
    );
    assert_eq!(account.credential.as_ref().unwrap().secret.expose(), "sk-1");
    assert_eq!(plan.transitions.len(), 1);
    for name in ["Accepted", "CredentialsValid", "Available"] {
        assert_eq!(condition(&plan, "llm/a", name).0, "True", "{name}");
    }
}

#[test]
fn what_is_wrong_with_an_account_is_a_condition_that_says_what_to_do() {
    let key = [("apiKey", "k")];
    for (spec, data, which, reason, says) in [
        (
            "provider: anthropic\ncredentials: {secretRef: {name: x}}",
            &key[..],
            "CredentialsValid",
            "SecretNotFound",
            "create it there with the key apiKey",
        ),
        (
            "provider: anthropic\ncredentials: {secretRef: {name: a}}",
            &[("password", "k")][..],
            "CredentialsValid",
            "SecretKeyMissing",
            "it has password",
        ),
        (
            "provider: codex\ncredentials: {secretRef: {name: a}}",
            &[("accessToken", "t")],
            "CredentialsValid",
            "SecretKeyMissing",
            "accountId",
        ),
        (
            "provider: anthropic\ncredentials: {secretRef: {name: a}}",
            &[("apiKey", "two words")],
            "CredentialsValid",
            "SecretMalformed",
            "bare key",
        ),
        (
            "provider: claude-code\ncredentials: {secretRef: {name: a}}",
            &[("accessToken", "t"), ("expiresAt", "soon")],
            "CredentialsValid",
            "SecretMalformed",
            "RFC 3339",
        ),
        (
            "provider: anthropic",
            &key[..],
            "CredentialsValid",
            "CredentialsRequired",
            "credentials.secretRef.name",
        ),
        ("provider: openai-compatible", &key[..], "Accepted", "InvalidBaseUrl", "baseUrl is required"),
        (
            "provider: openai\ncredentials: {secretRef: {name: a}}\nbaseUrl: https://a/",
            &key[..],
            "Accepted",
            "InvalidBaseUrl",
            "without trailing slash",
        ),
        (
            "provider: openai\ncredentials: {secretRef: {name: a}}\negress: {caBundle: {configMapRef: {name: ca}}}",
            &key[..],
            "Accepted",
            "CaBundleNotFound",
            "ca.crt",
        ),
        (
            "provider: openai\ncredentials: {secretRef: {name: a}}\nheaders: {X-Team: a}",
            &key[..],
            "Accepted",
            "InvalidHeader",
            "lower case",
        ),
        (
            "provider: openai\ncredentials: {secretRef: {name: a}}\nheaders: {host: a}",
            &key[..],
            "Accepted",
            "InvalidSpec",
            "put credentials into the Secret",
        ),
    ] {
        let good = account("llm/good", "provider: openai\ncredentials: {secretRef: {name: a}}");
        let world = world([account("llm/a", spec), good], [secret("llm/a", data), secret("llm/g", &key)]);
        let plan = reconcile(&world, at(0));
        let (status, found, message) = condition(&plan, "llm/a", which);
        assert_eq!((status.as_str(), found.as_str()), ("False", reason), "{spec}");
        let trailing = message.replace("have no trailing", "without trailing");
        assert!(message.contains(says) || trailing.contains(says), "{spec}: {message}");
        assert_eq!(state(&plan, "llm/a"), (State::Invalid, reason.to_owned()), "{spec}");
    }
}

#[test]
fn a_broken_account_keeps_no_other_from_serving() {
    let broken = account("llm/a", "provider: anthropic\ncredentials: {secretRef: {name: nothing}}");
    let good = account("llm/b", "provider: anthropic\ncredentials: {secretRef: {name: b}}");
    let plan = reconcile(&world([broken, good], [secret("llm/b", &[("apiKey", "k")])]), at(0));
    assert_eq!(state(&plan, "llm/b").0, State::Available);
    assert_eq!(proto_account(&plan, "llm/a").credential, None);
    let pool = &plan.pools[&id("llm/default")];
    assert_eq!((pool.accounts, pool.available), (2, 1));
}

/// One account of a subscription, as it is used in the stories below.
fn subscription(more: &str) -> World {
    let spec = format!("provider: claude-code\ncredentials: {{secretRef: {{name: a}}}}\n{more}");
    world(
        [account("llm/a", &spec)],
        [secret("llm/a", &[("accessToken", "t"), ("expiresAt", "2100-01-01T00:00:00Z")])],
    )
}

#[test]
fn a_used_up_window_limits_the_account_until_it_resets() {
    let mut world = subscription("");
    let seen = observation("llm/a", 0)
        .window("five_hour", window(100.0, Some(3600), WindowStatus::Rejected, 0))
        .window("seven_day", window(40.0, Some(99_999), WindowStatus::Allowed, 0))
        .cooldown(CooldownReason::QuotaExhausted, None, 3600);
    assert_eq!(world.observe(&seen.0, at(0)), Observed::Change);
    assert_eq!(world.observe(&seen.0, at(0)), Observed::Nothing);
    let plan = reconcile(&world, at(1));
    assert_eq!(state(&plan, "llm/a"), (State::Limited, "FiveHourWindowExhausted".into()));
    let status = &plan.accounts[&id("llm/a")];
    assert_eq!(status.limited_until, Some(at(3600)));
    assert_eq!(status.tightest_window.as_ref().map(|window| window.utilization), Some(100));
    assert_eq!(plan.next_change, Some(at(3600)));
    let later = reconcile(&world, at(3600));
    assert_eq!(state(&later, "llm/a").0, State::Available);
    assert_eq!(
        later.accounts[&id("llm/a")].tightest_window.as_ref().map(|window| window.utilization),
        Some(40)
    );
}

#[test]
fn a_limit_on_some_models_leaves_the_account_available() {
    let mut world = subscription("");
    let seen = observation("llm/a", 0).cooldown(CooldownReason::QuotaExhausted, Some("claude-opus-*"), 60);
    assert_eq!(world.observe(&seen.0, at(0)), Observed::Change);
    assert_eq!(state(&reconcile(&world, at(1)), "llm/a").0, State::Available);
}

#[test]
fn a_window_at_its_ceiling_sets_the_account_aside() {
    let mut world = subscription("limits: {windowCeilings: {fiveHour: 90}}");
    let seen = |percent, second| {
        observation("llm/a", second)
            .window("five_hour", window(percent, Some(500), WindowStatus::Allowed, second))
    };
    world.observe(&seen(89.9, 1).0, at(1));
    assert_eq!(state(&reconcile(&world, at(2)), "llm/a").0, State::Available);
    assert_eq!(world.observe(&seen(90.0, 3).0, at(3)), Observed::Small);
    assert_eq!(state(&reconcile(&world, at(4)), "llm/a"), (State::Limited, "FiveHourCeilingReached".into()));
    assert_eq!(state(&reconcile(&world, at(500)), "llm/a").0, State::Available);
}

#[test]
fn each_kind_of_trouble_has_its_state() {
    for (reason, expected) in [
        (CooldownReason::Throttled, State::Limited),
        (CooldownReason::Forbidden, State::Limited),
        (CooldownReason::Overloaded, State::Overloaded),
        (CooldownReason::ServerFault, State::Overloaded),
        (CooldownReason::Unreachable, State::Overloaded),
    ] {
        let mut world = subscription("");
        world.observe(&observation("llm/a", 0).cooldown(reason, None, 30).0, at(0));
        assert_eq!(state(&reconcile(&world, at(1)), "llm/a"), (expected, reason.as_label().to_owned()));
    }
}

#[test]
fn a_rejected_credential_needs_a_login_and_a_new_one_ends_that() {
    let mut world = subscription("");
    let fingerprint =
        proto_account(&reconcile(&world, at(0)), "llm/a").credential.as_ref().unwrap().fingerprint.clone();
    let other = observation("llm/a", 0).rejected("0000000000000000");
    assert_eq!(world.observe(&other.0, at(0)), Observed::Nothing);
    assert_eq!(world.observe(&observation("llm/a", 0).rejected(&fingerprint).0, at(0)), Observed::Change);
    let plan = reconcile(&world, at(1));
    assert_eq!(state(&plan, "llm/a"), (State::NeedsLogin, "CredentialRejected".into()));
    let mut objects = world.objects.clone();
    plan.apply(&mut world);
    objects.secrets.extend([secret("llm/a", &[("accessToken", "new")])]);
    world.set_objects(objects);
    assert_eq!(state(&reconcile(&world, at(2)), "llm/a").0, State::Available);
}

#[test]
fn an_access_token_that_has_ended_needs_a_login() {
    let spec = "provider: claude-code\ncredentials: {secretRef: {name: a}}";
    let end = at(100).as_millisecond().to_string();
    let world =
        world([account("llm/a", spec)], [secret("llm/a", &[("accessToken", "t"), ("expiresAt", &end)])]);
    let before = reconcile(&world, at(99));
    assert_eq!((state(&before, "llm/a").0, before.next_change), (State::Available, Some(at(100))));
    assert_eq!(state(&reconcile(&world, at(100)), "llm/a"), (State::NeedsLogin, "TokenExpired".into()));
}

#[test]
fn a_pause_sets_the_account_aside() {
    assert_eq!(
        state(&reconcile(&subscription("paused: true"), at(0)), "llm/a"),
        (State::Paused, "Paused".into())
    );
}

#[test]
fn what_a_person_forgets_is_forgotten_everywhere() {
    let mut world = subscription("");
    world.observe(&observation("llm/a", 0).cooldown(CooldownReason::Forbidden, None, 1800).0, at(0));
    limited(&mut world, at(1));
    world.forget_limits(&id("llm/a"), at(2));
    // What another replica wrote before is joined again and must not revive it.
    let objects = world.objects.clone();
    world.set_objects(objects);
    assert_eq!(state(&reconcile(&world, at(3)), "llm/a").0, State::Available);
}

#[test]
fn a_controller_that_starts_again_knows_the_limits_from_the_statuses() {
    let mut world = subscription("");
    world.observe(&observation("llm/a", 0).cooldown(CooldownReason::QuotaExhausted, None, 3600).0, at(0));
    reconcile(&world, at(1)).apply(&mut world);
    let mut restarted = World::default();
    restarted.set_objects(world.objects.clone());
    assert_eq!(restarted.observed, world.observed);
    assert_eq!(state(&reconcile(&restarted, at(2)), "llm/a").0, State::Limited);
}

#[test]
fn the_implicit_pool_has_every_account_that_the_namespace_may_use_in_order_of_priority() {
    let open = "provider: ollama\nallowedNamespaces: {from: All}";
    let chosen =
        "provider: ollama\nallowedNamespaces: {from: Selector, selector: {matchLabels: {llm: \"yes\"}}}";
    let own = "provider: ollama\npriority: 3";
    let mut world = world(
        [
            account("x/open", open),
            account("y/chosen", chosen),
            account("z/own", own),
            account("z/first", "provider: ollama"),
        ],
        [],
    );
    world.objects.namespaces.insert("z".into(), [("llm".to_owned(), "yes".to_owned())].into());
    let plan = reconcile(&world, at(0));
    assert_eq!(names(&pool(&plan, "z/default").accounts), ["x/open", "y/chosen", "z/first", "z/own"]);
    assert_eq!(names(&pool(&plan, "y/default").accounts), ["x/open", "y/chosen"]);
    assert_eq!(names(&pool(&plan, "x/default").accounts), ["x/open"]);
}

#[test]
fn a_pool_takes_what_it_names_in_order_and_says_what_it_cannot_take() {
    let accounts = || {
        [
            account("llm/a", "provider: ollama"),
            account("llm/b", "provider: ollama"),
            account("other/c", "provider: ollama"),
        ]
    };
    let spec = "accounts: {refs: [{name: b}, {name: a}, {name: gone}, {name: c, namespace: other}]}\n\
                fallbacks: [{match: {models: [x]}, targets: [{account: a, model: m}, {account: gone}, {pool: self}]}]";
    let mut world = world(accounts(), []);
    world::add_pool(&mut world, "llm/p", spec);
    let plan = reconcile(&world, at(0));
    let made = pool(&plan, "llm/p");
    assert_eq!(names(&made.accounts), ["llm/b", "llm/a"]);
    assert_eq!(made.fallbacks[0].targets.len(), 2);
    let accepted =
        plan.pools[&id("llm/p")].conditions.iter().find(|condition| condition.type_ == "Accepted").unwrap();
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "AccountNotFound"));
    assert!(
        accepted.message.contains("llm/gone") && accepted.message.contains("other/c"),
        "{}",
        accepted.message
    );
}

#[test]
fn a_client_key_is_granted_by_an_object_or_outside_a_cluster_by_its_label() {
    let hash = "0f".repeat(32);
    let mut world = world([account("llm/a", "provider: ollama")], [secret("llm/k", &[("sha256", &hash)])]);
    world::add_grant(
        &mut world,
        "llm/team",
        "subjects: [{kind: ClientKey, name: k}, {kind: ClientKey, name: nothing}]",
    );
    let plan = reconcile(&world, at(0));
    let granted = grant(&plan, "llm/team.k");
    assert_eq!(
        (granted.client_key_sha256.as_deref(), granted.pool.as_ref().map(ObjectId::as_str)),
        (Some(hash.as_str()), Some("llm/default"))
    );
    let key = std::sync::Arc::make_mut(world.objects.secrets.get_mut(&id("llm/k")).unwrap());
    key.labels.insert("penstock.dev/client-key".into(), "true".into());
    let in_cluster =
        reconcile(&world, at(0)).resources.keys().filter(|key| key.kind == ResourceKind::Grant).count();
    world.objects.standalone = true;
    let alone =
        reconcile(&world, at(0)).resources.keys().filter(|key| key.kind == ResourceKind::Grant).count();
    assert_eq!((in_cluster, alone), (1, 2));
}

#[test]
fn a_proxy_sees_what_its_namespace_may_use_and_no_secret_of_another() {
    let spec = "provider: openai\ncredentials: {secretRef: {name: s}}";
    let secrets = [secret("a/s", &[("apiKey", "secret-of-a")]), secret("b/s", &[("apiKey", "secret-of-b")])];
    let plan = reconcile(&world([account("a/one", spec), account("b/two", spec)], secrets), at(0));
    let view = plan.view(&Viewer::Namespaces(["a".to_owned()].into()));
    let held: Vec<_> = view.resources.keys().map(|key| key.name.as_str()).collect();
    assert_eq!(held, ["a/one", "a/one", "a/default"]);
    let everything = plan.view(&Viewer::All);
    assert_eq!(everything.resources.len(), 6);
    assert_ne!(everything.version, view.version);
}

#[test]
fn a_proxy_that_reconnects_gets_only_what_changed() {
    let mut world = world([account("a/one", "provider: ollama"), account("a/two", "provider: ollama")], []);
    let before = reconcile(&world, at(0)).view(&Viewer::All);
    assert_eq!(before.update(&BTreeMap::default(), at(0)).changes.len(), 5);
    assert!(before.update(&before.held(), at(0)).changes.is_empty());
    world.objects.accounts.remove(&id("a/two"));
    world.objects.accounts.extend([account("a/one", "provider: ollama\npriority: 1")]);
    let after = reconcile(&world, at(1)).view(&Viewer::All);
    let changes = after.update(&before.held(), at(1)).changes;
    let set = changes.iter().filter(|change| matches!(change, Change::Set(_))).count();
    let removed = changes.iter().filter(|change| matches!(change, Change::Removed(_))).count();
    // Account `one` and the pool; account `two` and its state.
    assert_eq!((set, removed), (2, 2), "{changes:?}");
    assert!(
        after
            .resources
            .values()
            .all(|one| !matches!(&one.resource, Resource::Account(a) if a.id.name() == "two"))
    );
}
