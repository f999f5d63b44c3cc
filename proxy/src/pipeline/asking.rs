//! What a request asks for, in the terms of core and of the attempt loop. No input or output.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use penstock_proto::event::Caller;
use penstock_proxy_core::affinity::{Hints, SessionKey, session_key};
use penstock_proxy_core::authenticate::Identity;
use penstock_proxy_core::directives::Directives;
use penstock_proxy_core::headers::Headers;
use penstock_proxy_core::request::Request;
use penstock_proxy_core::route::Route;

use crate::attempt::{Expect, Outgoing};
use crate::body::{self, RequestBody};
use crate::config::Config;
use crate::head::RequestHead;
use crate::respond::Refusal;
use crate::state::Published;
use crate::upstream::Timeouts;

/// Where a request has no pool yet (nothing was pushed), nothing will be sent either.
const NO_POOL_TIMEOUT: Duration = Duration::from_secs(60);

/// For name resolution, TCP and TLS with a provider.
const CONNECT: Duration = Duration::from_secs(10);

/// WebSocket is not spoken here: clients that are told so at once go on over HTTP.
pub(super) fn refuse_upgrade(headers: &Headers) -> Result<(), Refusal> {
    let names = |name, word| headers.items(name).any(|item| item.eq_ignore_ascii_case(word));
    if names("upgrade", "websocket") && names("connection", "upgrade") {
        return Err(Refusal::UpgradeRequired);
    }
    Ok(())
}

/// How much of the body is read.
pub(super) fn body_limits(head: &RequestHead, config: &Config) -> body::Limits {
    body::Limits {
        largest: config.max_body,
        kept: config.bounds.replay,
        progress: config.bounds.body_progress,
        announced_first: head.headers.contains("expect"),
    }
}

/// The facts that decide where a request goes.
pub(super) fn request(
    caller: &Identity,
    route: &Route,
    head: &RequestHead,
    body: &RequestBody,
    published: &Published,
    config: &Config,
) -> Request {
    let (selector, model) = route.resolve(body.model(), &published.view.providers);
    let Directives { account, exclude_providers, strict: _ } = Directives::read(&head.headers);
    let pool = published.view.pool(&caller.pool).map(|view| &view.pool);
    // Every attempt may take its whole time, and the waiting before them its own.
    let patience = pool.map_or(NO_POOL_TIMEOUT, |pool| {
        pool.per_try_timeout.saturating_mul(pool.attempts).saturating_add(pool.hold)
    });
    let now = Timestamp::now();
    Request {
        pool: caller.pool.clone(),
        dialect: route.dialect,
        operation: route.operation,
        selector,
        model: model.to_owned(),
        session: session(caller, head, body),
        forced: account,
        exclude_providers,
        replayable: body.is_whole() && body.size() <= config.bounds.replay,
        deadline: now.checked_add(patience).unwrap_or(Timestamp::MAX),
    }
}

/// What is sent to each account.
pub(super) fn outgoing<'a>(
    caller: &Identity,
    route: &'a Route,
    head: &'a RequestHead,
    body: RequestBody,
    published: &Published,
    config: &Config,
) -> Outgoing<'a> {
    let pool = published.view.pool(&caller.pool).map(|view| &view.pool);
    let timeouts = Timeouts {
        connect: CONNECT,
        head: pool.map_or(NO_POOL_TIMEOUT, |pool| pool.per_try_timeout),
        idle: config.bounds.upstream_silence,
    };
    let path = if route.path.is_empty() { "/" } else { &route.path };
    let path = match head.uri.query() {
        None => Cow::Borrowed(path),
        Some(query) => Cow::Owned([path, "?", query].concat()),
    };
    let expect = Expect {
        dialect: route.dialect,
        streaming: body.asked.stream,
        commit_wait: config.bounds.commit_wait,
    };
    Outgoing { method: &head.method, path, headers: &head.headers, body, expect, timeouts }
}

fn session(caller: &Identity, head: &RequestHead, body: &RequestBody) -> Option<SessionKey> {
    let Caller { namespace: _, pod, service_account, key } = &caller.caller;
    let caller_name = [key, pod, service_account].into_iter().find(|name| !name.is_empty());
    session_key(&Hints {
        headers: &head.headers,
        namespace: &caller.namespace,
        caller: caller_name.map_or("", String::as_str),
        asked: Some(&body.asked),
        body: body.readable(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_websocket_handshake_is_told_to_use_http() {
        let headers = |pairs: &[(&'static str, &'static str)]| pairs.iter().copied().collect::<Headers>();
        let handshake = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]);
        assert!(matches!(refuse_upgrade(&handshake), Err(Refusal::UpgradeRequired)));
        let h2c = headers(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")]);
        assert!(refuse_upgrade(&h2c).is_ok());
    }
}
