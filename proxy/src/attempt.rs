//! Stages 5 to 7: the loop around one account after another. Dull on purpose: what to try, how long to
//! wait, what an answer means and when to stop is decided in core.
//! Nothing is sent to the client from here; once an answer is accepted there is no way back.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use penstock_llm::error::ErrorFacts;
use penstock_proxy_core::attempt::{Choice, Step};
use penstock_proxy_core::classify::{Heard, TransportError, Verdict, classify};
use penstock_proxy_core::headers::{Headers, to_upstream};
use penstock_proxy_core::pool::Candidate;
use tracing::info;

use crate::body::RequestBody;
use crate::completion::Completion;
use crate::respond::Refusal;
use crate::state::{Published, State};
use crate::upstream::{self, Stage, Timeouts, UpstreamError, Upstreams};

mod opening;

pub(crate) use opening::{Accepted, Expect, Rest};
use opening::{Opened, open};

/// What is sent to every account that is tried.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    /// Path and query at the provider, without what the account's base URL adds.
    pub(crate) path: Cow<'a, str>,
    /// The client's headers.
    pub(crate) headers: &'a Headers,
    pub(crate) body: RequestBody,
    /// What kind of answer is awaited.
    pub(crate) expect: Expect,
    pub(crate) timeouts: Timeouts,
}

/// Tries accounts until an answer is accepted, or nothing is left to try.
pub(crate) async fn attempt(
    state: &State,
    upstreams: &Upstreams,
    outgoing: &Outgoing<'_>,
    completion: &mut Completion,
) -> Result<Accepted, Refusal> {
    let mut last = None;
    loop {
        let published = state.published();
        match completion.next(&published) {
            Step::Try(choice) => {
                match try_account(&published, upstreams, outgoing, choice, completion).await? {
                    Tried::Accepted(answer) => return Ok(answer),
                    // The answer before, and its connection, are let go.
                    Tried::Refused(answer) => last = answer,
                }
            }
            Step::WaitUntil(instant) => state.wait(instant).await?,
            Step::GiveUp(exhausted) => {
                return match last {
                    Some(answer) if exhausted.relay_last => Ok(answer),
                    _ => Err(Refusal::Exhausted(Box::new(exhausted))),
                };
            }
        }
    }
}

/// How one try ended.
enum Tried {
    Accepted(Accepted),
    /// The provider's own answer, if there was one: it may be the best that there is in the end.
    Refused(Option<Accepted>),
}

async fn try_account(
    published: &Published,
    upstreams: &Upstreams,
    outgoing: &Outgoing<'_>,
    choice: Choice,
    completion: &mut Completion,
) -> Result<Tried, Refusal> {
    let Choice { candidate, model, why, number, ticket } = choice;
    completion.trying(ticket, Arc::clone(&candidate), model.clone());
    let opened = send(published, upstreams, outgoing, &candidate, &model).await;
    match &opened {
        Opened::Failed(UpstreamError::InvalidRequest) => return Err(Refusal::Unsendable),
        // The client's doing, which says nothing of the account.
        Opened::Failed(UpstreamError::RequestBody(_)) => return Err(outgoing.body.failure()),
        _ => {}
    }
    let now = Timestamp::now();
    let verdict = judge(&opened, &model, now);
    let accepted = verdict.outcome.is_relayed();
    completion.record(&verdict, accepted, now);
    if !accepted {
        info!(
            account.id = candidate.account.id.as_str(),
            outcome = verdict.outcome.as_label(),
            why = why.as_label(),
            attempt = number,
            status = verdict.status,
            reason = opened.reason(),
            "an account could not serve"
        );
    }
    Ok(match opened {
        Opened::Failed(_) => Tried::Refused(None),
        Opened::Answer(answer) | Opened::Error(answer, _) | Opened::ErrorEvent(answer, _) => {
            if accepted {
                Tried::Accepted(answer)
            } else {
                Tried::Refused(Some(answer))
            }
        }
    })
}

/// Sends the request to one account and reads as much of the answer as is needed to judge it.
async fn send(
    published: &Published,
    upstreams: &Upstreams,
    outgoing: &Outgoing<'_>,
    candidate: &Candidate,
    model: &str,
) -> Opened {
    let target = published.targets.get(&candidate.account.id);
    let (Some(target), Some(account)) = (target, &candidate.headers) else {
        // Its address or its headers cannot be used: as unreachable as if nobody listened.
        return Opened::Failed(UpstreamError::Closed);
    };
    let (segments, encoded) = outgoing.body.segments(model);
    let sent = {
        // Let go of before the answer is waited for.
        let headers = to_upstream(outgoing.headers, account, outgoing.expect.streaming, encoded);
        let body = outgoing.body.outgoing(&segments);
        let (method, path) = (outgoing.method, outgoing.path.as_ref());
        let request = upstream::Request { method, path, headers: &headers, body };
        upstreams.send(target, request, outgoing.timeouts).await
    };
    match sent {
        Ok(response) => open(response, &outgoing.expect).await,
        Err(error) => Opened::Failed(error),
    }
}

/// Asks core what an answer, or its absence, means.
fn judge(opened: &Opened, model: &str, now: Timestamp) -> Verdict {
    let heard = match opened {
        Opened::Answer(answer) => response(answer, None),
        Opened::Error(answer, facts) => response(answer, Some(facts)),
        Opened::ErrorEvent(answer, error) => Heard::ErrorEvent { headers: &answer.head.headers, error },
        Opened::Failed(error) => Heard::Transport(transport(error)),
    };
    classify(&heard, model, now)
}

fn response<'a>(answer: &'a Accepted, error: Option<&'a ErrorFacts>) -> Heard<'a> {
    Heard::Response { status: answer.head.status.as_u16(), headers: &answer.head.headers, error }
}

/// How core sees a failure of the upstream leg.
fn transport(error: &UpstreamError) -> TransportError {
    match error {
        UpstreamError::Dns(_)
        | UpstreamError::Connect(_)
        | UpstreamError::Tunnel { .. }
        | UpstreamError::Timeout(Stage::Connect) => TransportError::Connect,
        UpstreamError::Tls(_) => TransportError::Tls,
        UpstreamError::Timeout(Stage::Head | Stage::Body) => TransportError::Timeout,
        UpstreamError::Protocol(_) => TransportError::Malformed,
        UpstreamError::Closed
        | UpstreamError::Reset(_)
        | UpstreamError::Http2(_)
        | UpstreamError::Truncated
        | UpstreamError::InvalidRequest
        | UpstreamError::RequestBody(_) => TransportError::Reset,
    }
}
