//! Plays the lines of a scenario against one proxy.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use penstock_proto::observation::Observation;
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::{Account, Fallback, FallbackTarget, ModelMapping, Pool, Strategy};
use penstock_proxy_core::attempt::{Attempts, Choice, Step};
use penstock_proxy_core::classify::{TransportError, Verdict};
use penstock_proxy_core::headers::Headers;
use penstock_proxy_core::request::Request;

use super::language::Line;
use crate::support::answers::Answer;
use crate::support::{Proxy, account, id, pool, request, session, start};

/// A scenario that is being played.
pub(crate) struct Player {
    accounts: Vec<Account>,
    pool: Pool,
    proxy: Option<Proxy>,
    now: Timestamp,
    attempts: Option<Attempts>,
    choice: Option<Choice>,
    verdict: Option<(Verdict, Option<Observation>)>,
}

impl Default for Player {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            pool: pool(&[]),
            proxy: None,
            now: start(),
            attempts: None,
            choice: None,
            verdict: None,
        }
    }
}

impl Player {
    pub(crate) fn play(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Account(name, words) => self.account(&name, &words),
            Line::Pool(words) => self.pool(&words),
            Line::Fallback(glob, targets) => {
                let targets = targets.iter().map(|target| fallback(target)).collect();
                self.pool.fallbacks.push(Fallback { models: vec![glob], targets });
                Ok(())
            }
            Line::Ask(words) => self.ask(&words),
            Line::Try(name, words) => self.must_try(&name, &words),
            Line::Wait { seconds, at_most } => self.must_wait(seconds, at_most),
            Line::GiveUp(cause, words) => self.must_give_up(&cause, &words),
            Line::Answer(words) => self.answer(&words),
            Line::Means(outcome) => {
                let (verdict, _) = self.verdict.as_ref().ok_or("there was no answer")?;
                expect(outcome.as_str(), verdict.outcome.as_label())
            }
            Line::SetsAside(what) => self.must_set_aside(what),
            Line::Later(seconds) => {
                self.now += SignedDuration::from_secs_f64(seconds);
                Ok(())
            }
            Line::NewCredential(name) => self.new_credential(&name),
        }
    }

    /// Nothing may be left open.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        self.let_go();
        let Some(proxy) = &self.proxy else { return Err("nothing was asked".to_owned()) };
        let left = self.accounts.iter().find(|account| proxy.live.in_flight(&account.id) > 0);
        left.map_or(Ok(()), |account| Err(format!("a slot of {} was not given back", account.id)))
    }

    fn account(&mut self, name: &str, words: &[String]) -> Result<(), String> {
        let mut account = account(name);
        for (key, value) in pairs(words)? {
            let number = || value.parse().map_err(|_| format!("{value} is no number"));
            match key {
                "priority" => account.priority = u8::try_from(number()?).unwrap_or(u8::MAX),
                "provider" => (account.provider, account.family) = (value.to_owned(), value.to_owned()),
                "family" => value.clone_into(&mut account.family),
                "host" => account.base_url = format!("https://{value}.example"),
                "allow" => account.allow_models.push(value.to_owned()),
                "map" => {
                    let (glob, models) = value.split_once('=').ok_or("map glob=model")?;
                    let models = models.split('+').map(str::to_owned).collect();
                    account.model_map.push(ModelMapping { glob: glob.to_owned(), models });
                }
                "max" => account.limits.max_concurrent_requests = Some(number()?),
                "per_minute" => account.limits.requests_per_minute = Some(number()?),
                "ceiling" => {
                    let (window, percent) = value.split_once('=').ok_or("ceiling window=percent")?;
                    let percent = percent.parse().map_err(|_| "no percent".to_owned())?;
                    account.limits.window_ceilings.insert(window.to_owned(), percent);
                }
                "paused" => account.paused = value == "yes",
                "auto_fallback" => account.auto_fallback = value == "yes",
                "session_tracked" => account.session_tracked = value == "yes",
                _ => return Err(format!("no such setting: {key}")),
            }
        }
        self.pool.accounts.push(account.id.clone());
        self.accounts.push(account);
        Ok(())
    }

    fn pool(&mut self, words: &[String]) -> Result<(), String> {
        for (key, value) in pairs(words)? {
            let number = || value.parse().map_err(|_| format!("{value} is no number"));
            match (key, value) {
                ("hold", _) => self.pool.hold = Duration::from_secs(number()?),
                ("ttl", _) => self.pool.affinity_ttl = Duration::from_secs(number()?),
                ("attempts", _) => self.pool.attempts = u32::try_from(number()?).unwrap_or(u32::MAX),
                ("strategy", "Session") => self.pool.strategy = Strategy::Session,
                ("strategy", "DrainSoonest") => self.pool.strategy = Strategy::DrainSoonest,
                ("strategy", "LeastUtilized") => self.pool.strategy = Strategy::LeastUtilized,
                _ => return Err(format!("no such setting: {key}")),
            }
        }
        Ok(())
    }

    fn ask(&mut self, words: &[String]) -> Result<(), String> {
        self.let_go();
        let mut request: Request = request(None, self.now);
        for (key, value) in pairs(words)? {
            match key {
                "session" => request.session = value.parse().ok().map(session),
                "model" => value.clone_into(&mut request.model),
                "account" => request.forced = Some(value.to_owned()),
                "without" => request.exclude_providers.push(value.to_owned()),
                "within" => {
                    let seconds = value.parse().map_err(|_| format!("{value} is no number"))?;
                    request.deadline = self.now + SignedDuration::from_secs(seconds);
                }
                "replayable" => request.replayable = value == "yes",
                _ => return Err(format!("no such wish: {key}")),
            }
        }
        let (accounts, pool, now) = (&self.accounts, &self.pool, self.now);
        self.proxy.get_or_insert_with(|| Proxy::new(accounts.clone(), pool.clone(), now));
        self.attempts = Some(Attempts::new(request));
        Ok(())
    }

    fn next(&mut self) -> Result<Step, String> {
        self.let_go();
        let (proxy, attempts) = self.proxy.as_mut().zip(self.attempts.as_mut()).ok_or("nothing was asked")?;
        Ok(proxy.next(attempts, self.now))
    }

    /// The try is over: its slot is given back.
    fn let_go(&mut self) {
        if let Some((proxy, choice)) = self.proxy.as_mut().zip(self.choice.take()) {
            proxy.live.release(choice.ticket, self.now);
        }
    }

    fn must_try(&mut self, name: &str, words: &[String]) -> Result<(), String> {
        let Step::Try(choice) = self.next()? else { return Err(format!("not a try: {:?}", self.next()?)) };
        expect(name, choice.candidate.id().name())?;
        for (key, value) in pairs(words)? {
            match key {
                "because" => expect(value, choice.why.as_label())?,
                "model" => expect(value, &choice.model)?,
                "keeping" => expect(value, "slot")?,
                _ => return Err(format!("no such expectation: {key}")),
            }
        }
        self.choice = Some(choice);
        Ok(())
    }

    fn must_wait(&mut self, seconds: f64, at_most: bool) -> Result<(), String> {
        let step = self.next()?;
        let Step::WaitUntil(until) = step else { return Err(format!("not a wait: {step:?}")) };
        let wait = until.duration_since(self.now).as_secs_f64();
        let fits = if at_most { wait <= seconds } else { (wait - seconds).abs() < 0.001 };
        self.now = until;
        if fits && wait > 0.0 { Ok(()) } else { Err(format!("a wait of {wait} s")) }
    }

    fn must_give_up(&mut self, cause: &str, words: &[String]) -> Result<(), String> {
        let step = self.next()?;
        let Step::GiveUp(exhausted) = step else { return Err(format!("not given up: {step:?}")) };
        expect(cause, exhausted.cause.as_label()).map_err(|why| format!("{why} {exhausted:?}"))?;
        for (key, value) in pairs(words)? {
            let retry = exhausted.retry_after.map_or("never".to_owned(), |wait| wait.as_secs().to_string());
            match key {
                "retry" => expect(value, &retry)?,
                "saying" if exhausted.message.contains(value) => {}
                "saying" => return Err(format!("it says: {}", exhausted.message)),
                "relaying" => expect(value, if exhausted.relay_last { "yes" } else { "no" })?,
                _ => return Err(format!("no such expectation: {key}")),
            }
        }
        Ok(())
    }

    fn answer(&mut self, words: &[String]) -> Result<(), String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = answer(&words, self.now)?;
        let choice = self.choice.as_ref().ok_or("nothing was tried")?;
        let (proxy, attempts) = self.proxy.as_mut().zip(self.attempts.as_mut()).ok_or("nothing was asked")?;
        self.verdict = Some(proxy.answer(attempts, &answer, &choice.model, self.now));
        Ok(())
    }

    fn must_set_aside(&self, what: Option<(String, i64)>) -> Result<(), String> {
        let (_, learned) = self.verdict.as_ref().ok_or("there was no answer")?;
        let cooldowns = learned.as_ref().map(|learned| learned.cooldowns.clone()).unwrap_or_default();
        let told: Vec<_> = cooldowns
            .iter()
            .map(|(scope, cooldown)| {
                let model = scope.model.as_ref().map(|model| format!("[{model}]")).unwrap_or_default();
                let seconds = cooldown.until.duration_since(self.now).as_secs();
                (format!("{}{model}", scope.reason.as_label()), seconds)
            })
            .collect();
        expect(&format!("{:?}", what.into_iter().collect::<Vec<_>>()), &format!("{told:?}"))
    }

    fn new_credential(&mut self, name: &str) -> Result<(), String> {
        let proxy = self.proxy.as_mut().ok_or("nothing was asked")?;
        let held = proxy.snapshot.accounts.get(&id(name)).ok_or("no such account")?;
        let mut account = (**held).clone();
        let credential = account.credential.as_mut().ok_or("no credential")?;
        credential.secret = Secret::new("another");
        credential.fingerprint = credential.secret.fingerprint();
        proxy.snapshot.accounts.insert(account.id.clone(), Arc::new(account));
        proxy.publish(self.now);
        Ok(())
    }
}

/// The answers that scenarios speak of.
fn answer(words: &[&str], now: Timestamp) -> Result<Answer, String> {
    let seconds = |word: &str| word.parse::<i64>().map_err(|_| format!("{word} is no number of seconds"));
    Ok(match words {
        ["200"] => Answer::ok(),
        ["200", window, percent] => {
            let fraction = percent.parse::<f64>().map_err(|_| "no percent".to_owned())? / 100.0;
            let name = format!("anthropic-ratelimit-unified-{window}");
            let reset = (now.as_second() + 3600).to_string();
            Answer::ok()
                .header(&format!("{name}-utilization"), &fraction.to_string())
                .header(&format!("{name}-status"), "allowed")
                .header(&format!("{name}-reset"), &reset)
        }
        ["429", "retry-after", wait] => {
            Answer::status(429, "rate_limit_error", "m").header("retry-after", wait)
        }
        ["429", "without-limits"] => Answer::status(429, "rate_limit_error", "Error"),
        ["429", "usage_limit_reached", wait] => {
            let body = format!(r#"{{"error":{{"type":"usage_limit_reached","resets_in_seconds":{wait}}}}}"#);
            Answer::Response { status: 429, headers: Headers::default(), body }
        }
        ["429", window, wait] => {
            Answer::window_rejected(window, SignedDuration::from_secs(seconds(wait)?), now)
        }
        ["404", "model", model] => Answer::status(404, "not_found_error", &format!("model: {model}")),
        ["event", kind] => {
            let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#);
            Answer::ErrorEvent { body }
        }
        ["connect-failed"] => Answer::Failure(TransportError::Connect),
        ["timeout"] => Answer::Failure(TransportError::Timeout),
        ["reset"] => Answer::Failure(TransportError::Reset),
        ["client-left"] => Answer::ClientLeft,
        [status, kind] => {
            let status = status.parse().map_err(|_| format!("{status} is no status"))?;
            Answer::status(status, kind, "of the provider")
        }
        _ => return Err("no such answer".to_owned()),
    })
}

fn fallback(target: &str) -> FallbackTarget {
    let (account, model) = match target.split_once('=') {
        Some((account, model)) => (account, Some(model.to_owned())),
        None => (target, None),
    };
    FallbackTarget { account: (account != "self").then(|| id(account)), model }
}

fn pairs(words: &[String]) -> Result<Vec<(&str, &str)>, String> {
    let (pairs, rest) = words.as_chunks::<2>();
    match rest {
        [] => Ok(pairs.iter().map(|[key, value]| (key.as_str(), value.as_str())).collect()),
        [word, ..] => Err(format!("{word} has no value")),
    }
}

fn expect(expected: &str, seen: &str) -> Result<(), String> {
    if expected == seen { Ok(()) } else { Err(format!("expected {expected}, seen {seen}")) }
}
