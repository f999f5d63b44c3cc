//! An older and a newer peer understand each other.
//!
//! What a newer peer sends is written out by hand: the same messages with fields, enum values and kinds
//! of resources that this version does not have. An older peer leaves out what came later.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::sync::Arc;

use jiff::Timestamp;
use penstock_proto::convert::Reason;
use penstock_proto::dialect::Dialect;
use penstock_proto::event::{Ending, Event};
use penstock_proto::ids::{ResourceKey, ResourceKind};
use penstock_proto::limits::{CooldownReason, WindowStatus};
use penstock_proto::observation::Observation;
use penstock_proto::resource::{Refusal, Resource, Update, Versioned};
use penstock_proto::snapshot::{Snapshot, Strategy};
use penstock_proto::usage::UsageSource;
use penstock_proto::wire;
use prost::Message;
use uuid::Uuid;

/// A value of every enum that no version has yet.
const LATER: i32 = 90;

/// What a newer version of the program would send: known fields beside unknown ones.
mod newer {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Update {
        #[prost(uint64, tag = "1")]
        pub(super) nonce: u64,
        #[prost(message, repeated, tag = "2")]
        pub(super) changed: Vec<Resource>,
        #[prost(bool, tag = "4")]
        pub(super) complete: bool,
        #[prost(string, tag = "5")]
        pub(super) view_version: String,
        #[prost(string, tag = "77")]
        pub(super) later: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Resource {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(string, tag = "3")]
        pub(super) version: String,
        #[prost(message, optional, tag = "10")]
        pub(super) account: Option<Account>,
        #[prost(message, optional, tag = "99")]
        pub(super) later: Option<Later>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Account {
        #[prost(string, tag = "1")]
        pub(super) provider: String,
        #[prost(string, tag = "2")]
        pub(super) family: String,
        #[prost(int32, repeated, tag = "3")]
        pub(super) dialects: Vec<i32>,
        #[prost(string, tag = "4")]
        pub(super) base_url: String,
        #[prost(message, optional, tag = "80")]
        pub(super) later: Option<Later>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Later {
        #[prost(string, tag = "1")]
        pub(super) text: String,
        #[prost(double, tag = "2")]
        pub(super) number: f64,
    }
}

fn later() -> newer::Later {
    newer::Later { text: "of a later version".into(), number: 1.5 }
}

fn account_of_a_newer_peer(name: &str) -> newer::Resource {
    newer::Resource {
        kind: 1,
        name: name.into(),
        version: "v1".into(),
        account: Some(newer::Account {
            provider: "anthropic".into(),
            family: "anthropic".into(),
            dialects: vec![LATER, wire::Dialect::AnthropicMessages.into()],
            base_url: "https://api.anthropic.com/".into(),
            later: Some(later()),
        }),
        later: None,
    }
}

fn read(update: &newer::Update) -> Update {
    wire::Update::decode(update.encode_to_vec().as_slice()).unwrap().into()
}

#[test]
fn fields_and_formats_of_a_newer_controller_are_passed_over() {
    let update = newer::Update {
        nonce: 7,
        changed: vec![account_of_a_newer_peer("llm/a")],
        complete: true,
        view_version: "view".into(),
        later: "more".into(),
    };
    let (snapshot, refusals) = Snapshot::default().apply(read(&update));
    assert_eq!(refusals, []);
    let account = &snapshot.accounts[&"llm/a".parse().unwrap()];
    assert_eq!(account.dialects, [Dialect::AnthropicMessages]);
    assert_eq!(account.base_url, "https://api.anthropic.com");
    assert_eq!(snapshot.version, "view");
}

#[test]
fn a_kind_of_resource_that_came_later_is_refused_by_name_and_the_rest_goes_on() {
    let unknown = newer::Resource {
        kind: LATER,
        name: "llm/quota".into(),
        version: "v9".into(),
        account: None,
        later: Some(later()),
    };
    let changed = vec![unknown, account_of_a_newer_peer("llm/a")];
    let update = newer::Update { changed, ..newer::Update::default() };
    let (snapshot, refusals) = Snapshot::default().apply(read(&update));
    assert_eq!(snapshot.accounts.len(), 1);
    let [Refusal { key, version, reason }] = refusals.as_slice() else { panic!("{refusals:?}") };
    assert_eq!(key, &ResourceKey { kind: ResourceKind::Other(LATER), name: "llm/quota".into() });
    assert_eq!((version.as_str(), reason.as_str()), ("v9", "kind: is not known to this version"));
    // The newer controller recognises its own number in the refusal.
    assert_eq!(wire::Refusal::from(&refusals[0]).kind, LATER);
}

#[test]
fn a_refused_resource_leaves_the_last_good_one_in_force() {
    let good = newer::Update { changed: vec![account_of_a_newer_peer("llm/a")], ..Default::default() };
    let (held, _) = Snapshot::default().apply(read(&good));

    let mut broken = account_of_a_newer_peer("llm/a");
    broken.version = "v2".into();
    broken.account.as_mut().unwrap().base_url = "sk-secret-in-the-wrong-field".into();
    let update = newer::Update { changed: vec![broken], ..Default::default() };
    let (next, refusals) = held.apply(read(&update));

    assert_eq!(refusals[0].reason, "account.base_url: is malformed");
    assert!(Arc::ptr_eq(
        &held.accounts.values().next().unwrap().clone(),
        next.accounts.values().next().unwrap()
    ));
    assert_eq!(next.versions, held.versions, "and it says so when it reconnects");
}

#[test]
fn enum_values_of_a_newer_peer_are_read_as_the_table_in_convert_says() {
    let pool = wire::Pool { strategy: LATER, attempts: 1, ..Default::default() };
    let resource = wire::Resource {
        kind: 3,
        name: "llm/default".into(),
        body: Some(wire::resource::Body::Pool(pool)),
        ..Default::default()
    };
    let Resource::Pool(pool) = Versioned::try_from(resource).unwrap().resource else { panic!() };
    assert_eq!(pool.strategy, Strategy::SessionAffinity);

    let cooldown = wire::Cooldown { reason: LATER, until_us: 9, observed_at_us: 1, ..Default::default() };
    let lift = wire::Cooldown { lifted: true, ..cooldown.clone() };
    let window = wire::Window { name: "w".into(), status: LATER, ..Default::default() };
    let observation = Observation::try_from(wire::Observation {
        account: "llm/a".into(),
        windows: vec![window],
        cooldowns: vec![cooldown, lift],
        ..Default::default()
    })
    .unwrap();
    assert_eq!(observation.windows[0].1.status, WindowStatus::Unknown);
    assert_eq!(observation.cooldowns[0].0.reason, CooldownReason::Throttled, "it is left alone");
    assert_eq!(observation.lifts, [], "and nothing else is put back into use");

    let event = Event::try_from(wire::Event {
        id: vec![7; 16],
        ending: LATER,
        usage_source: LATER,
        dialect: LATER,
        ..Default::default()
    })
    .unwrap();
    assert_eq!(
        (event.ending, event.usage_source, event.dialect),
        (Ending::Error, UsageSource::Estimated, None)
    );
}

#[test]
fn a_credential_scheme_that_came_later_refuses_the_account_without_repeating_the_secret() {
    let account = wire::Account {
        provider: "p".into(),
        family: "p".into(),
        base_url: "https://p".into(),
        credential: Some(wire::Credential {
            scheme: LATER,
            secret: "sk-do-not-tell".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let resource = wire::Resource {
        kind: 1,
        name: "llm/a".into(),
        body: Some(wire::resource::Body::Account(account)),
        ..Default::default()
    };
    let error = Versioned::try_from(resource).unwrap_err();
    assert_eq!((error.field.as_str(), error.reason), ("account.credential.scheme", Reason::Unknown));
    assert!(!format!("{error} {error:?}").contains("sk-do"));
}

#[test]
fn a_key_of_an_algorithm_that_came_later_is_passed_over_and_the_others_verify() {
    let key = |id: &str, algorithm| wire::IssuerKey {
        id: id.into(),
        algorithm,
        rsa_modulus: vec![1; 256],
        rsa_exponent: vec![1, 0, 1],
        ..Default::default()
    };
    let issuer = wire::TokenIssuer {
        issuer: "https://cluster".into(),
        audience: "penstock".into(),
        keys: vec![key("new", LATER), key("old", wire::SigningAlgorithm::Rs256.into())],
    };
    let resource = |name: &str, issuer| wire::Resource {
        kind: 5,
        name: name.into(),
        body: Some(wire::resource::Body::TokenIssuer(issuer)),
        ..Default::default()
    };
    let read = Versioned::try_from(resource("https://cluster", issuer.clone())).unwrap();
    let Resource::TokenIssuer(read) = read.resource else { panic!() };
    assert_eq!(read.keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["old"]);

    let refused = |resource: wire::Resource| Versioned::try_from(resource).unwrap_err().field;
    assert_eq!(refused(resource("https://other", issuer.clone())), "name");
    let anybodys = wire::TokenIssuer { audience: String::new(), ..issuer };
    assert_eq!(refused(resource("https://cluster", anybodys)), "token_issuer.audience");
}

#[test]
fn a_proxy_that_holds_a_kind_unknown_to_the_controller_is_told_to_drop_it() {
    let held = wire::HeldResource { kind: LATER, name: "llm/x".into(), version: "1".into() };
    let (_, held) = wire::Hello { proxy: None, held: vec![held] }.into_parts();
    let changes = Update::between(&held, &std::collections::BTreeMap::new());
    let pushes = wire::Update::cut(1, &Update { changes, ..Default::default() }, 1024);
    assert_eq!(pushes[0].removed, [wire::ResourceName { kind: LATER, name: "llm/x".into() }]);
}

#[test]
fn a_message_of_an_older_peer_that_leaves_everything_out_is_read() {
    let event = wire::Event { id: vec![1; 16], ..Default::default() };
    assert_eq!(Event::try_from(event).unwrap().usage.total(), 0);
    let observation = wire::Observation { account: "llm/a".into(), ..Default::default() };
    assert!(!Observation::try_from(observation).unwrap().is_transition());
    let (identity, held) = wire::Hello::default().into_parts();
    assert_eq!((identity.id.as_str(), held.len()), ("", 0));
}

/// `EventBatch` as it was before its events were bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct BatchOfMessages {
    #[prost(uint64, tag = "1")]
    batch_id: u64,
    #[prost(message, repeated, tag = "2")]
    events: Vec<wire::Event>,
}

#[test]
fn a_batch_is_the_same_to_a_peer_that_has_its_events_as_messages() {
    let mut event = Event::new(Uuid::from_u128(7), Timestamp::UNIX_EPOCH);
    event.caller.namespace = "n".repeat(300);
    let batch = wire::EventBatch { batch_id: 3, events: vec![event.to_bytes().into(); 2] };
    let theirs = BatchOfMessages::decode(batch.encode_to_vec().as_slice()).unwrap();
    assert_eq!(theirs.batch_id, 3);
    for read in &theirs.events {
        assert_eq!(Event::try_from(read.clone()).unwrap(), event);
    }
    assert_eq!(wire::EventBatch::decode(theirs.encode_to_vec().as_slice()).unwrap(), batch);
}

#[test]
fn the_number_kept_for_slot_leases_is_not_taken() {
    // A newer controller may answer with field 2 of SubscribeResponse; it reads as no message at all.
    let bytes = [0x12, 0x02, 0x08, 0x01];
    assert_eq!(wire::SubscribeResponse::decode(bytes.as_slice()).unwrap().message, None);
}
