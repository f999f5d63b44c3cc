//! Decides the answer to one request: its fault, its limit, or what was asked for.
//! Looks at no socket and does not wait.

use http::{HeaderMap, Method};
use jiff::Timestamp;

use crate::{
    accounts::Sight,
    answer::Answer,
    anthropic,
    ask::{Ask, Turn},
    codex,
    faults::{Break, FaultKind, Hit, Shape, Target},
    ids::Ids,
    json::Raw,
    openai::{self, chat, responses},
    reply::{Content, Context, Failure, Reply},
    route::{Dialect, Operation, Route},
    state::State,
};

/// A request, whole.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) route: &'a Route,
    pub(crate) credential: &'a str,
    /// Whether the credential is one we serve.
    pub(crate) known: bool,
    /// The body, decoded; `Err` if it could not be.
    pub(crate) body: Result<&'a [u8], &'static str>,
    pub(crate) now: Timestamp,
}

/// What is to be sent.
#[derive(Debug)]
pub(crate) struct Decision {
    /// `None`: nothing is answered.
    pub(crate) reply: Option<Reply>,
    /// How the body breaks, or the connection if there is no reply.
    pub(crate) breaks: Option<Break>,
    pub(crate) cause: Option<&'static str>,
    pub(crate) request_id: String,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) first_byte_delay_ms: u64,
    pub(crate) event_delay_ms: u64,
}

/// One request being answered.
struct Responder<'a> {
    state: &'a State,
    heard: &'a Heard<'a>,
    ask: Option<Ask<'a>>,
    ids: Ids,
    request_id: String,
    model: String,
    stream: bool,
    /// What every version of a streamed response repeats; the Responses API only.
    frame: Option<responses::Frame>,
}

/// Decides.
pub(crate) fn decide(state: &State, heard: &Heard<'_>) -> Decision {
    let mut responder = Responder::new(state, heard);
    let target = Target {
        account: heard.credential,
        path: &heard.route.path,
        model: &responder.model,
        stream: responder.stream,
    };
    let ids = &mut responder.ids;
    let strike = state.faults.lock().strike(target, heard.now, |probability| ids.happens(probability));
    let behaviour = *state.behaviour.lock();
    let (reply, breaks, cause) = responder.answer(strike.fault);
    Decision {
        reply,
        breaks,
        cause: cause.or(strike.slow.then_some(FaultKind::Slow.as_label())),
        request_id: responder.request_id,
        model: responder.model,
        stream: responder.stream,
        first_byte_delay_ms: behaviour.first_byte_delay_ms + strike.first_byte_delay_ms,
        event_delay_ms: behaviour.event_delay_ms + strike.event_delay_ms,
    }
}

impl<'a> Responder<'a> {
    fn new(state: &'a State, heard: &'a Heard<'a>) -> Self {
        let mut ids = state.next_ids();
        let request_id = match heard.route.dialect {
            Dialect::Anthropic => ids.anthropic_request(),
            _ => ids.openai_request(),
        };
        let ask = heard.body.ok().and_then(|body| Ask::parse(body).ok());
        let model = match &heard.route.operation {
            Operation::Model(id) => id.clone(),
            _ => ask.as_ref().map(Ask::model).unwrap_or_default(),
        };
        let stream = ask.as_ref().is_some_and(|ask| ask.is_true("stream"));
        Self { state, heard, ask, ids, request_id, model, stream, frame: None }
    }

    fn answer(&mut self, fault: Option<Hit>) -> (Option<Reply>, Option<Break>, Option<&'static str>) {
        if !self.heard.known {
            return (Some(self.phrase(&Failure::Unauthorized)), None, Some("unknown_credential"));
        }
        let Some(hit) = fault else {
            let (reply, cause) = self.regular();
            return (Some(reply), None, cause);
        };
        let cause = Some(hit.kind.as_label());
        match hit.kind.shape(hit.until) {
            Shape::Instead(failure) => (Some(self.phrase(&failure)), None, cause),
            Shape::FirstEvent(failure) => (Some(self.first_event(&failure)), None, cause),
            Shape::LateEvent(failure) => (Some(self.late_event(&failure, hit.after_events)), None, cause),
            Shape::Midway(how) => (Some(halved(self.regular().0, hit.after_events, how)), Some(how), cause),
            Shape::NoHead(how) => (None, Some(how), cause),
            Shape::Delay => (Some(self.regular().0), None, cause),
        }
    }

    /// What was asked for, or why not; and the limit that refused it.
    fn regular(&mut self) -> (Reply, Option<&'static str>) {
        match self.respond() {
            Ok(reply) => (reply, None),
            Err(failure) => (self.phrase(&failure), failure.limit().map(|(by, _)| by.as_label())),
        }
    }

    fn respond(&mut self) -> Result<Reply, Failure> {
        let ask = self.ask.take();
        let result = self.respond_to(ask.as_ref());
        self.ask = ask;
        result
    }

    fn respond_to(&mut self, ask: Option<&Ask<'_>>) -> Result<Reply, Failure> {
        let route = self.heard.route;
        let ask = match &route.operation {
            Operation::Unknown => {
                let (method, path) = (self.heard.method.to_string(), route.path.clone());
                return Err(Failure::NoRoute { method, path });
            }
            Operation::Models => return Ok(self.json(self.models())),
            Operation::Model(id) => return self.one_model(id),
            Operation::Usage => return Ok(self.json(anthropic::windows(&self.sight().readings))),
            _ => match ask {
                Some(ask) => ask,
                None => {
                    return Err(Failure::invalid(
                        self.heard.body.err().unwrap_or("The request body is not valid JSON."),
                    ));
                }
            },
        };
        self.check(ask)?;
        if !self.state.any_model && !self.state.models.contains(&self.model) {
            return Err(Failure::ModelNotFound);
        }
        match route.operation {
            Operation::CountTokens => Ok(self.json(anthropic::count(ask))),
            Operation::InputTokens => Ok(self.json(openai::input_tokens(ask))),
            Operation::Embeddings => {
                self.admit(ask.tokens())?;
                let body = openai::embeddings(ask, &mut self.ids)?;
                Ok(self.json(body))
            }
            Operation::Compact => {
                self.admit(ask.tokens())?;
                let body = responses::compaction(ask, self.heard.now, &mut self.ids);
                Ok(self.json(body))
            }
            _ => self.converse(ask),
        }
    }

    /// Messages, Chat Completions and Responses.
    fn converse(&mut self, ask: &Ask<'_>) -> Result<Reply, Failure> {
        let dialect = self.heard.route.dialect;
        let answer = self.compose(ask);
        self.admit(answer.usage.input + answer.usage.output)?;
        let (model, now, ids) = (&self.model, self.heard.now, &mut self.ids);
        let (body, events) = match (dialect, self.stream) {
            (Dialect::Anthropic, true) => (None, anthropic::events(&answer, model, ids)),
            (Dialect::Anthropic, false) => (Some(anthropic::message(&answer, model, ids)), Vec::new()),
            (Dialect::OpenAi, true) => {
                let with_usage = ask.value("stream_options").is_some_and(|o| o["include_usage"] == true);
                (None, chat::events(&answer, model, with_usage, now, ids))
            }
            (Dialect::OpenAi, false) => (Some(chat::completion(&answer, model, now, ids)), Vec::new()),
            (Dialect::Responses | Dialect::Codex, stream) => {
                let frame = self.frame.insert(responses::Frame::new(ask, now, ids));
                if stream {
                    (None, responses::events(&answer, frame, ids))
                } else {
                    (Some(responses::response(&answer, frame, ids)), Vec::new())
                }
            }
        };
        let context = self.context();
        Ok(match body {
            Some(body) => Reply::json(200, self.headers(&context), body),
            None if dialect == Dialect::Codex => {
                let all = [vec![codex::limits_event(&context)], events].concat();
                Reply::stream(self.headers(&context), all)
            }
            None => Reply::stream(self.headers(&context), events),
        })
    }

    fn compose(&mut self, ask: &Ask<'_>) -> Answer {
        let dialect = self.heard.route.dialect;
        let behaviour = *self.state.behaviour.lock();
        let (framing, may_think) = match dialect {
            Dialect::Anthropic => (anthropic::FRAMING, anthropic::thinks(ask)),
            Dialect::OpenAi => (chat::FRAMING, false),
            Dialect::Responses => (responses::FRAMING, ask.has("reasoning")),
            Dialect::Codex => (responses::FRAMING + 1, ask.has("reasoning")),
        };
        let pieces = (behaviour.events as usize).saturating_sub(framing).max(2);
        let turn: Turn = ask.turn(dialect, &mut self.ids);
        let prompt = self.state.accounts.prompt_usage(self.heard.credential, dialect, ask);
        Answer::compose(turn, pieces, behaviour.thinking && may_think, prompt, &mut self.ids)
    }

    fn check(&self, ask: &Ask<'_>) -> Result<(), Failure> {
        let version = self.heard.headers.get("anthropic-version").and_then(|value| value.to_str().ok());
        match (self.heard.route.dialect, &self.heard.route.operation) {
            (Dialect::Anthropic, operation) => {
                anthropic::check(ask, version, *operation == Operation::Messages)
            }
            (Dialect::Codex, Operation::Responses) => codex::check(ask),
            (_, Operation::Chat) => openai::require(ask, &["model", "messages"]),
            _ => openai::require(ask, &["model", "input"]),
        }
    }

    fn admit(&self, cost: u64) -> Result<(), Failure> {
        let Heard { credential, now, .. } = *self.heard;
        self.state
            .accounts
            .admit(credential, now, &self.model, cost)
            .map_err(|refusal| Failure::Limited { by: refusal.by, until: refusal.resets_at })
    }

    fn models(&self) -> Raw {
        match self.heard.route.dialect {
            Dialect::Anthropic => anthropic::models(&self.state.models),
            Dialect::Codex => codex::models(),
            Dialect::OpenAi | Dialect::Responses => openai::models(&self.state.models),
        }
    }

    fn one_model(&self, id: &str) -> Result<Reply, Failure> {
        if !self.state.models.iter().any(|model| model == id) {
            return Err(Failure::ModelNotFound);
        }
        Ok(self.json(match self.heard.route.dialect {
            Dialect::Anthropic => anthropic::model(id),
            _ => openai::model(id),
        }))
    }

    fn first_event(&self, failure: &Failure) -> Reply {
        let context = self.context();
        let event = match self.heard.route.dialect {
            Dialect::Anthropic => anthropic::error_event(failure, &context),
            Dialect::OpenAi => openai::chat_error_event(failure, &context),
            Dialect::Responses | Dialect::Codex => openai::responses_error_event(failure, &context),
        };
        Reply::stream(self.headers(&context), vec![event])
    }

    fn late_event(&mut self, failure: &Failure, after: Option<usize>) -> Reply {
        let mut reply = halved(self.regular().0, after, Break::End);
        let context = self.context();
        if let Content::Events(events) = &mut reply.content {
            let event = match (self.heard.route.dialect, &self.frame) {
                (Dialect::Anthropic, _) => anthropic::error_event(failure, &context),
                (_, Some(frame)) => openai::response_failed(failure, &context, frame, events.len()),
                _ => openai::chat_error_event(failure, &context),
            };
            events.push(event);
        }
        reply
    }

    fn phrase(&self, failure: &Failure) -> Reply {
        let context = self.context();
        match self.heard.route.dialect {
            Dialect::Anthropic => anthropic::phrase(failure, &context),
            Dialect::OpenAi | Dialect::Responses => openai::phrase(failure, &context),
            Dialect::Codex => codex::phrase(failure, &context),
        }
    }

    fn json(&self, body: Raw) -> Reply {
        Reply::json(200, self.headers(&self.context()), body)
    }

    fn headers(&self, context: &Context) -> HeaderMap {
        match self.heard.route.dialect {
            Dialect::Anthropic => anthropic::headers(context, None),
            Dialect::OpenAi | Dialect::Responses => openai::headers(context, false),
            Dialect::Codex => codex::headers(context, None),
        }
    }

    fn sight(&self) -> Sight {
        self.state.accounts.sight(self.heard.credential, self.heard.now)
    }

    fn context(&self) -> Context {
        let Sight { kind, organization, readings, family } = self.sight();
        Context {
            now: self.heard.now,
            request_id: self.request_id.clone(),
            organization,
            kind,
            readings,
            model: self.model.clone(),
            family,
        }
    }
}

/// The first half of an answer, or its first `after` events. Unless it `End`s there, a whole body announces
/// its full length.
fn halved(mut reply: Reply, after: Option<usize>, how: Break) -> Reply {
    match &mut reply.content {
        Content::Events(events) => events.truncate(after.unwrap_or(events.len() / 2)),
        Content::Whole(body) => {
            if how != Break::End {
                reply.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
            }
            body.truncate(body.len() / 2);
        }
    }
    reply
}
