//! Limits of an account: windows that count and reset.
//! Reads no clock: `now` is an argument.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod meter;

pub(crate) use meter::round_up;
pub use meter::{Meter, Reading};

/// What an account may spend in one window; `None` = endless.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quota {
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens, in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// Whether an account pays per token or is a subscription; decides which header family it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// Per-minute limits, `anthropic-ratelimit-requests-*`.
    ApiKey,
    /// 5-hour and 7-day windows, `anthropic-ratelimit-unified-*`.
    Subscription,
}

/// A window of its own for some models (Anthropic's `7d_oi`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelWindow {
    /// Part of the model's name, such as `opus`.
    pub model: String,
    /// What may be spent on those models in a 7-day window.
    pub quota: Quota,
}

/// The limits of an account, as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitSpec {
    /// `None`: a subscription if the credential or a window below says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<AccountKind>,
    /// Requests a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, in and out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// The 5-hour window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub five_hour: Option<Quota>,
    /// The 7-day window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seven_day: Option<Quota>,
    /// The 7-day window of a model family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_window: Option<ModelWindow>,
}

/// How long each kind of window lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLengths {
    /// The per-minute limits'.
    pub minute: Duration,
    /// The 5-hour window.
    pub five_hour: Duration,
    /// The 7-day windows.
    pub seven_day: Duration,
}

/// The window that refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// Requests or tokens a minute.
    PerMinute,
    /// The 5-hour window.
    FiveHour,
    /// The 7-day window.
    SevenDay,
    /// The model family's window.
    Model,
}

/// A request refused, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// By which window.
    pub by: Exhausted,
    /// When it starts anew.
    pub resets_at: Timestamp,
}

/// The limits of one account, as they stand.
#[derive(Debug, Clone)]
pub struct Limits {
    spec: LimitSpec,
    minute: Meter,
    five_hour: Meter,
    seven_day: Meter,
    model: Meter,
}

/// All windows of an account at one instant, for headers and the control interface.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readings {
    /// Requests and tokens a minute.
    pub minute: Reading,
    /// The 5-hour window.
    pub five_hour: Reading,
    /// The 7-day window.
    pub seven_day: Reading,
    /// The model family's window, where there is one.
    pub model: Option<Reading>,
}

impl Quota {
    /// Whether it limits nothing.
    pub fn is_endless(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }
}

impl LimitSpec {
    /// The kind of an account with this credential.
    pub fn kind_of(&self, credential: &str) -> AccountKind {
        let windows = self.five_hour.is_some() || self.seven_day.is_some() || self.model_window.is_some();
        let by_itself = if windows || credential.starts_with("sk-ant-oat") {
            AccountKind::Subscription
        } else {
            AccountKind::ApiKey
        };
        self.kind.unwrap_or(by_itself)
    }
}

impl Exhausted {
    /// Its name in the journal; the same as of the fault that looks like it.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::PerMinute => "per_minute",
            Self::FiveHour => "five_hour",
            Self::SevenDay => "seven_day",
            Self::Model => "model_window",
        }
    }
}

impl Limits {
    /// Fresh windows.
    pub fn new(spec: LimitSpec, lengths: WindowLengths) -> Self {
        let minute = Quota { requests: spec.requests_per_minute, tokens: spec.tokens_per_minute };
        let model = spec.model_window.as_ref().map(|window| window.quota).unwrap_or_default();
        Self {
            minute: Meter::new(minute, lengths.minute),
            five_hour: Meter::new(spec.five_hour.unwrap_or_default(), lengths.five_hour),
            seven_day: Meter::new(spec.seven_day.unwrap_or_default(), lengths.seven_day),
            model: Meter::new(model, lengths.seven_day),
            spec,
        }
    }

    /// What is configured.
    pub fn spec(&self) -> &LimitSpec {
        &self.spec
    }

    /// Charges a request of `model` that costs `tokens`, or says which window refuses it. A window serves
    /// until it is full, so the request that fills it is the last one served.
    pub fn admit(&mut self, now: Timestamp, model: &str, tokens: u64) -> Result<(), Refusal> {
        let of_family = self.is_of_family(model);
        let mut windows = vec![
            (Exhausted::SevenDay, &mut self.seven_day),
            (Exhausted::FiveHour, &mut self.five_hour),
            (Exhausted::PerMinute, &mut self.minute),
        ];
        if of_family {
            windows.push((Exhausted::Model, &mut self.model));
        }
        for (by, window) in &mut windows {
            if let Some(resets_at) = window.refuses_until(now) {
                return Err(Refusal { by: *by, resets_at });
            }
        }
        for (_, window) in windows {
            window.charge(now, tokens);
        }
        Ok(())
    }

    /// All windows at `now`.
    pub fn read(&self, now: Timestamp) -> Readings {
        Readings {
            minute: self.minute.read(now),
            five_hour: self.five_hour.read(now),
            seven_day: self.seven_day.read(now),
            model: self.spec.model_window.is_some().then(|| self.model.read(now)),
        }
    }

    /// Starts all windows anew.
    pub fn reset(&mut self) {
        for window in [&mut self.minute, &mut self.five_hour, &mut self.seven_day, &mut self.model] {
            window.reset();
        }
    }

    fn is_of_family(&self, model: &str) -> bool {
        self.spec.model_window.as_ref().is_some_and(|window| model.contains(&window.model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: WindowLengths = WindowLengths {
        minute: Duration::from_secs(60),
        five_hour: Duration::from_secs(18_000),
        seven_day: Duration::from_secs(604_800),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn limits(json: &str) -> Limits {
        Limits::new(serde_json::from_str(json).unwrap(), LENGTHS)
    }

    #[test]
    fn the_window_that_is_full_refuses_until_its_reset_and_then_serves_again() {
        let mut limits = limits(r#"{"fiveHour":{"requests":2},"requestsPerMinute":50}"#);
        assert_eq!(limits.admit(at(0), "m", 1), Ok(()));
        assert_eq!(limits.admit(at(10), "m", 1), Ok(()));
        let refused = Err(Refusal { by: Exhausted::FiveHour, resets_at: at(18_000) });
        assert_eq!(limits.admit(at(20), "m", 1), refused);
        assert_eq!(limits.admit(at(17_999), "m", 1), refused);
        assert_eq!(limits.admit(at(18_000), "m", 1), Ok(()));
    }

    #[test]
    fn a_refused_request_costs_nothing() {
        let mut limits = limits(r#"{"requestsPerMinute":1,"sevenDay":{"requests":2}}"#);
        assert_eq!(limits.admit(at(0), "m", 1), Ok(()));
        assert!(limits.admit(at(1), "m", 1).is_err());
        assert_eq!(limits.read(at(1)).seven_day.requests, 1);
    }

    #[test]
    fn a_model_window_refuses_its_family_only() {
        let mut limits = limits(r#"{"modelWindow":{"model":"opus","quota":{"tokens":5}}}"#);
        assert_eq!(limits.admit(at(0), "claude-opus-5", 9), Ok(()));
        assert_eq!(
            limits.admit(at(1), "claude-opus-5", 1),
            Err(Refusal { by: Exhausted::Model, resets_at: at(604_800) })
        );
        assert_eq!(limits.admit(at(1), "claude-sonnet-5", 1), Ok(()));
    }

    #[test]
    fn windows_or_the_credential_make_a_subscription() {
        let kind = |spec: &str, key: &str| limits(spec).spec().kind_of(key);
        assert_eq!(kind("{}", "sk-ant-api03-x"), AccountKind::ApiKey);
        assert_eq!(kind("{}", "sk-ant-oat01-x"), AccountKind::Subscription);
        assert_eq!(kind(r#"{"fiveHour":{"requests":1}}"#, "sk-x"), AccountKind::Subscription);
        assert_eq!(kind(r#"{"kind":"api_key"}"#, "sk-ant-oat01-x"), AccountKind::ApiKey);
    }
}
