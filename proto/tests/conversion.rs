//! Every checked type survives its way over the wire.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use penstock_proto::dialect::{CredentialScheme, Dialect};
use penstock_proto::event::{Attempt, Caller, Ending, Event};
use penstock_proto::ids::ObjectId;
use penstock_proto::issuer::{Curve, IssuerKey, PublicKey, RsaHash, TokenIssuer};
use penstock_proto::limits::{Cooldown, CooldownReason, CooldownScope, Limits, Window, WindowStatus};
use penstock_proto::observation::Observation;
use penstock_proto::resource::{Resource, Update, Versioned};
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::{
    Account, AccountLimits, AccountState, Credential, Egress, Fallback, FallbackTarget, Grant, ModelMapping,
    Pool, Snapshot, Strategy as PoolStrategy,
};
use penstock_proto::usage::{Usage, UsageSource};
use penstock_proto::wire;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use uuid::Uuid;

fn id() -> impl Strategy<Value = ObjectId> {
    "[a-z][a-z0-9-]{0,8}/[a-z0-9.-]{1,9}".prop_map(|raw| raw.parse().unwrap())
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9*_./ -]{1,12}"
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    option::of(word())
}

/// The wire carries microseconds.
fn instant() -> impl Strategy<Value = Timestamp> {
    (1i64..4_000_000_000_000_000).prop_map(|us| Timestamp::from_microsecond(us).unwrap())
}

fn millisecond() -> impl Strategy<Value = Timestamp> {
    (1i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap())
}

fn duration() -> impl Strategy<Value = Duration> {
    (0u64..10_000_000_000).prop_map(Duration::from_millis)
}

fn dialect() -> impl Strategy<Value = Dialect> {
    select(vec![Dialect::AnthropicMessages, Dialect::OpenaiChat, Dialect::OpenaiResponses])
}

fn credential() -> impl Strategy<Value = Credential> {
    let schemes = vec![
        CredentialScheme::AnthropicApiKey,
        CredentialScheme::Bearer,
        CredentialScheme::AnthropicOauth,
        CredentialScheme::Chatgpt,
        CredentialScheme::None,
    ];
    (select(schemes), "[!-~]{1,20}", maybe(), option::of(millisecond())).prop_map(
        |(scheme, secret, account_id, expires_at)| {
            let secret = Secret::new(secret);
            let fingerprint = secret.fingerprint();
            Credential { scheme, secret, account_id, fingerprint, expires_at }
        },
    )
}

fn account_limits() -> impl Strategy<Value = AccountLimits> {
    (
        option::of(1u32..),
        option::of(1u32..),
        option::of(1u64..),
        btree_map("[a-z_]{1,9}", 0.0f64..150.0, 0..3),
    )
        .prop_map(
            |(max_concurrent_requests, requests_per_minute, tokens_per_minute, window_ceilings)| {
                AccountLimits {
                    max_concurrent_requests,
                    requests_per_minute,
                    tokens_per_minute,
                    window_ceilings,
                }
            },
        )
}

fn mapping() -> impl Strategy<Value = ModelMapping> {
    (word(), vec(word(), 1..3)).prop_map(|(glob, models)| ModelMapping { glob, models })
}

fn account() -> impl Strategy<Value = Account> {
    let egress =
        (maybe(), maybe()).prop_map(|(proxy_url, ca_bundle_pem)| Egress { proxy_url, ca_bundle_pem });
    let who = (id(), word(), word(), vec(dialect(), 0..3), "https?://[a-z.]{1,9}(/[a-z]{1,4})?");
    let what = (option::of(credential()), 0u8..=100, vec(word(), 0..3), vec(mapping(), 0..3));
    let how = (account_limits(), vec((word(), word()), 0..3), egress, any::<[bool; 3]>());
    (who, what, how).prop_map(|(who, what, how)| {
        let (id, provider, family, dialects, base_url) = who;
        let (credential, priority, allow_models, model_map) = what;
        let (limits, headers, egress, [paused, session_tracked, auto_fallback]) = how;
        let headers = headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Account {
            id,
            provider,
            family,
            dialects,
            base_url,
            credential,
            priority,
            paused,
            allow_models,
            model_map,
            limits,
            headers,
            egress,
            session_tracked,
            auto_fallback,
        }
    })
}

fn window() -> impl Strategy<Value = (String, Window)> {
    let statuses =
        vec![WindowStatus::Unknown, WindowStatus::Allowed, WindowStatus::Warning, WindowStatus::Rejected];
    let remaining = option::of(0u64..=i64::MAX as u64);
    (word(), 0.0f64..200.0, option::of(instant()), select(statuses), remaining, instant()).prop_map(
        |(name, utilization, resets_at, status, remaining, observed_at)| {
            (name, Window { utilization, resets_at, status, remaining, observed_at })
        },
    )
}

fn scope() -> impl Strategy<Value = CooldownScope> {
    let reasons = vec![
        CooldownReason::QuotaExhausted,
        CooldownReason::Throttled,
        CooldownReason::Overloaded,
        CooldownReason::Forbidden,
        CooldownReason::ModelUnavailable,
        CooldownReason::ServerFault,
        CooldownReason::Unreachable,
    ];
    (select(reasons), maybe()).prop_map(|(reason, model)| CooldownScope { reason, model })
}

fn cooldown() -> impl Strategy<Value = (CooldownScope, Cooldown)> {
    (scope(), instant(), instant())
        .prop_map(|(scope, until, observed_at)| (scope, Cooldown { until, observed_at }))
}

fn observation() -> impl Strategy<Value = Observation> {
    (id(), instant(), vec(window(), 0..4), vec(cooldown(), 0..4), vec((scope(), instant()), 0..4), maybe())
        .prop_map(|(account, observed_at, windows, cooldowns, lifts, rejected_fingerprint)| Observation {
            account,
            observed_at,
            windows,
            cooldowns,
            lifts,
            rejected_fingerprint,
        })
}

fn state() -> impl Strategy<Value = AccountState> {
    (vec(observation(), 0..4), maybe(), maybe()).prop_map(|(seen, blocked, rejected_fingerprint)| {
        let mut limits = Limits::default();
        for one in &seen {
            one.merge_into(&mut limits);
        }
        AccountState { limits, blocked, rejected_fingerprint }
    })
}

fn pool() -> impl Strategy<Value = Pool> {
    let strategies = vec![
        PoolStrategy::SessionAffinity,
        PoolStrategy::Session,
        PoolStrategy::DrainSoonest,
        PoolStrategy::LeastUtilized,
    ];
    let target = (option::of(id()), maybe()).prop_map(|(account, model)| FallbackTarget { account, model });
    let fallback =
        (vec(word(), 0..3), vec(target, 0..3)).prop_map(|(models, targets)| Fallback { models, targets });
    let numbers = (1u32.., any::<u32>(), duration(), duration(), duration());
    (id(), vec(id(), 0..4), select(strategies), numbers, vec(fallback, 0..3)).prop_map(
        |(id, accounts, strategy, numbers, fallbacks)| {
            let (attempts, overload_retries, affinity_ttl, per_try_timeout, hold) = numbers;
            Pool {
                id,
                accounts,
                strategy,
                affinity_ttl,
                attempts,
                per_try_timeout,
                overload_retries,
                hold,
                fallbacks,
            }
        },
    )
}

fn issuer() -> impl Strategy<Value = TokenIssuer> {
    let hash = select(vec![RsaHash::Sha256, RsaHash::Sha384, RsaHash::Sha512]);
    let rsa = (hash, vec(any::<u8>(), 1..300), vec(any::<u8>(), 1..4))
        .prop_map(|(hash, modulus, exponent)| PublicKey::Rsa { hash, modulus, exponent });
    let ec = (select(vec![Curve::P256, Curve::P384]), any::<u8>()).prop_map(|(curve, byte)| {
        let mut point = vec![byte; 1 + 2 * curve.coordinate()];
        point[0] = 4;
        PublicKey::Ec { curve, point }
    });
    let key =
        (maybe(), prop_oneof![rsa, ec]).prop_map(|(id, key)| IssuerKey { id: id.unwrap_or_default(), key });
    (word(), word(), vec(key, 0..3)).prop_map(|(issuer, audience, keys)| TokenIssuer {
        issuer,
        audience,
        keys,
    })
}

fn resource() -> impl Strategy<Value = Resource> {
    let grant = (word(), option::of("[0-9a-f]{64}"), option::of(id()), word()).prop_map(
        |(namespace, client_key_sha256, pool, caller)| Grant { namespace, client_key_sha256, pool, caller },
    );
    prop_oneof![
        account().prop_map(|account| Resource::Account(Arc::new(account))),
        (id(), state()).prop_map(|(id, state)| Resource::AccountState(id, Arc::new(state))),
        pool().prop_map(|pool| Resource::Pool(Arc::new(pool))),
        (word(), grant).prop_map(|(name, grant)| Resource::Grant(name, Arc::new(grant))),
        issuer().prop_map(|issuer| Resource::TokenIssuer(Arc::new(issuer))),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    (id(), word(), any::<u16>(), 0u64..1_000_000, word()).prop_map(
        |(account, outcome, status, duration_ms, model)| Attempt {
            account,
            outcome,
            status,
            duration_ms,
            model,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let endings = vec![Ending::Complete, Ending::Truncated, Ending::Error, Ending::ClientLeft];
    let sources = vec![UsageSource::Reported, UsageSource::Estimated, UsageSource::None];
    let when = (any::<u128>(), instant(), option::of(instant()), instant());
    let how = (select(endings), select(sources), option::of(dialect()), any::<bool>(), any::<u16>());
    let where_ = (option::of(id()), option::of(id()), vec(attempt(), 0..3), vec(word(), 0..2));
    let counts = any::<[u64; 8]>();
    let texts = vec(word(), 14);
    (when, how, where_, counts, texts).prop_map(|(when, how, where_, counts, texts)| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap();
        Event {
            id: Uuid::from_u128(when.0),
            received_at: when.1,
            first_byte_at: when.2,
            finished_at: when.3,
            caller: Caller { namespace: text(), pod: text(), service_account: text(), key: text() },
            method: text(),
            path: text(),
            dialect: how.2,
            pool: where_.0,
            account: where_.1,
            provider: text(),
            model_asked: text(),
            model_sent: text(),
            model_answered: text(),
            session: text(),
            status: how.4,
            ending: how.0,
            stream: how.3,
            attempts: where_.2,
            usage: Usage {
                input_tokens: counts[0],
                cache_read_tokens: counts[1],
                cache_write_5m_tokens: counts[2],
                cache_write_1h_tokens: counts[3],
                output_tokens: counts[4],
                reasoning_tokens: counts[5],
            },
            usage_source: how.1,
            trace_id: text(),
            warnings: where_.3,
            error: text(),
            request_bytes: counts[6],
            response_bytes: counts[7],
        }
    })
}

fn over_the_wire<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #[test]
    fn a_resource_arrives_as_it_was_sent(resource in resource()) {
        let sent = resource.versioned();
        let arrived = Versioned::try_from(over_the_wire(&wire::Resource::from(&sent))).unwrap();
        prop_assert_eq!(&arrived, &sent);
        // The version is of the content alone, so the peer would compute the same.
        prop_assert_eq!(arrived.resource.versioned(), sent);
    }

    #[test]
    fn an_observation_arrives_as_it_was_sent(sent in observation()) {
        let arrived = Observation::try_from(over_the_wire(&wire::Observation::from(&sent))).unwrap();
        prop_assert_eq!(arrived, sent);
    }

    #[test]
    fn an_event_arrives_as_it_was_sent_and_is_written_as_the_generated_code_would(sent in event()) {
        let bytes = sent.to_bytes();
        prop_assert_eq!(&Event::from_bytes(&bytes).unwrap(), &sent);
        prop_assert_eq!(wire::Event::decode(bytes.as_slice()).unwrap().encode_to_vec(), bytes);
    }

    #[test]
    fn events_are_cut_into_messages_that_hold_all_of_them_in_order(sent in vec(event(), 0..12), most in 0_usize..3_000) {
        let sent: Vec<_> = sent.iter().map(|event| event.to_bytes().into()).collect();
        let pieces: Vec<_> = wire::EventBatch::cut(&sent, most).collect();
        for events in &pieces {
            let batch = wire::EventBatch { batch_id: 0, events: events.clone() };
            prop_assert!(events.len() == 1 || (!events.is_empty() && batch.encoded_len() <= most));
        }
        prop_assert_eq!(pieces.concat(), sent);
    }

    #[test]
    fn a_proxy_told_what_changed_holds_the_view_whatever_it_held_before(
        before in vec(resource(), 0..5),
        after in vec(resource(), 0..5),
        kept in any::<u8>(),
    ) {
        let view = |resources: Vec<Resource>| -> std::collections::BTreeMap<_, _> {
            resources.into_iter().map(|one| (one.key(), one.versioned())).collect()
        };
        let before = view(before);
        let mut after = view(after);
        after.extend(before.iter().take(usize::from(kept % 6)).map(|(k, v)| (k.clone(), v.clone())));

        let push = |held: &Snapshot, view: &std::collections::BTreeMap<_, _>| {
            let update = Update { changes: Update::between(&held.versions, view), ..Update::default() };
            let count = update.changes.len();
            let pushes = wire::Update::cut(1, &update, 300);
            let completes: Vec<_> = pushes.iter().map(|push| push.complete).collect();
            assert_eq!(completes.iter().position(|complete| *complete), Some(pushes.len() - 1));
            let snapshot = pushes.iter().fold(held.clone(), |held, push| {
                let (next, refusals) = held.apply(Update::from(over_the_wire(push)));
                assert_eq!(refusals, []);
                next
            });
            (snapshot, count)
        };
        let (held, _) = push(&Snapshot::default(), &before);
        let (held, _) = push(&held, &after);
        let versions = after.iter().map(|(key, one)| (key.clone(), one.version.clone())).collect();
        prop_assert_eq!(&held.versions, &versions);
        let count = held.accounts.len() + held.states.len() + held.pools.len() + held.grants.len();
        prop_assert_eq!(count + held.issuers.len(), after.len());
        prop_assert_eq!(push(&held, &after).1, 0, "a peer that holds everything is sent nothing");
    }
}
