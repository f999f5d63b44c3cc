//! The flags, and the JSON file of accounts.
//! The only module that reads arguments and files.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use jiff::SignedDuration;

use crate::{
    faults::{FaultKind, Rule},
    limits::{LimitSpec, Quota, WindowLengths},
};

/// How long the demo's 5-hour window lasts: long enough to see it fill, short enough to see it reset.
const DEMO_FIVE_HOUR: Duration = Duration::from_secs(180);
/// The demo's 7-day window.
const DEMO_SEVEN_DAY: Duration = Duration::from_secs(1_800);
/// Requests in a demo's 5-hour window: two of three accounts that share 20 requests a minute each fill it.
const DEMO_REQUESTS: u64 = 40;
/// How often the demo's provider fails.
const DEMO_FAILURES: [(FaultKind, f64); 3] =
    [(FaultKind::Overloaded, 0.02), (FaultKind::ServerError, 0.01), (FaultKind::OverloadedEvent, 0.01)];

const TEACH: &str = "\
POINT A CLIENT AT IT
  ANTHROPIC_BASE_URL=http://HOST:PORT/anthropic    OPENAI_BASE_URL=http://HOST:PORT/openai/v1
  any key is an account of its own; keys that begin sk-ant-oat are subscriptions with 5-hour windows

MAKE IT MISBEHAVE
  curl HOST:PORT/_control/faults -d '{\"kind\":\"five_hour\",\"account\":\"sk-one\",\"resetsInSeconds\":30}'
  curl HOST:PORT/_control/faults -d '{\"kind\":\"cut\",\"afterEvents\":9,\"times\":1}'
  curl -X DELETE HOST:PORT/_control/faults
  kinds: five_hour seven_day model_window per_minute windowless insufficient_quota usage_limit_reached
         usage_not_included overloaded overloaded_event error_event cut truncated reset reset_midway hang
         hang_midway unauthorized billing forbidden model_not_found server_error bad_gateway unavailable
         gateway_timeout slow

SEE WHAT ARRIVED
  curl HOST:PORT/_control/requests        every request: headers, SHA-256 of the body, how it ended
  curl HOST:PORT/_control/bodies/1        the body of request 1, as received
  curl HOST:PORT/_control/accounts        requests, concurrency and windows of each credential
  curl HOST:PORT/_control/                all of it";

/// How the simulator behaves; also its command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "penstock-simulator",
    version,
    about = "A provider that behaves like Anthropic, OpenAI and Codex, with limits and faults on command.",
    after_long_help = TEACH
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent switch on the command line")]
pub struct Config {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// A listener of its own for `/_control`, always plaintext [default: the one of --listen; with --tls a free port]
    #[arg(long, value_name = "HOST:PORT")]
    pub control_listen: Option<SocketAddr>,
    /// Serve TLS with a certificate made at start, for HTTP/2 and HTTP/1.1
    #[arg(long)]
    pub tls: bool,
    /// Write the CA certificate that signs it here, as PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca_out: Option<PathBuf>,
    /// Threads that serve requests
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,

    /// The only credentials accepted (others get 401) [default: any]
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    pub keys: Vec<String>,
    /// JSON file of accounts: {"sk-…": {"fiveHour": {"requests": 20}, …}}; only these are accepted
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<PathBuf>,
    /// The only models served (others get 404) [default: any]
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub models: Vec<String>,

    /// Silence before the first byte of an answer
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub first_byte_delay: Duration,
    /// Silence between two events of a stream
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub event_delay: Duration,
    /// Events of a stream, those that frame the text included
    #[arg(long, default_value_t = 56, value_parser = clap::value_parser!(u32).range(12..=100_000))]
    pub events: u32,
    /// Compress answers for clients that accept gzip
    #[arg(long)]
    pub gzip: bool,
    /// Think before answering when the request allows it
    #[arg(long)]
    pub thinking: bool,
    /// Same seed and same order of requests, same ids and choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Requests a minute of each account
    #[arg(long, value_name = "N")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute of each account
    #[arg(long, value_name = "N")]
    pub tokens_per_minute: Option<u64>,
    /// Requests in each 5-hour window
    #[arg(long, value_name = "N")]
    pub five_hour_requests: Option<u64>,
    /// Tokens in each 5-hour window
    #[arg(long, value_name = "N")]
    pub five_hour_tokens: Option<u64>,
    /// Requests in each 7-day window
    #[arg(long, value_name = "N")]
    pub seven_day_requests: Option<u64>,
    /// Tokens in each 7-day window
    #[arg(long, value_name = "N")]
    pub seven_day_tokens: Option<u64>,
    /// How long the minute lasts
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub minute: Duration,
    /// How long the 5-hour window lasts
    #[arg(long, value_name = "TIME", default_value = "5h", value_parser = duration)]
    pub five_hour: Duration,
    /// How long the 7-day window lasts
    #[arg(long, value_name = "TIME", default_value = "168h", value_parser = duration)]
    pub seven_day: Duration,

    /// Small short windows, an answer's usual pace, and now and then a failure, where nothing else is said
    #[arg(long)]
    pub demo: bool,
    /// The process whose end ends this one
    #[arg(long, value_name = "PID", env = "PENSTOCK_PARENT", hide = true)]
    pub parent: Option<u32>,

    /// Requests kept in the journal, the oldest leave first
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub journal_requests: usize,
    /// Memory for bodies kept in the journal, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub journal_bodies: usize,
    /// Only answer, with prepared bodies: no journal, limits, faults or look at the request but its path and whether it streams
    #[arg(long)]
    pub bench: bool,
}

impl Default for Config {
    /// What the command line means without any flag.
    fn default() -> Self {
        Self::parse_from(["penstock-simulator"])
    }
}

impl Config {
    /// With what `--demo` fills in.
    #[must_use]
    pub fn settled(self) -> Self {
        if !self.demo {
            return self;
        }
        let usual = Self::default();
        let or = |given: Duration, usual: Duration, demo: Duration| if given == usual { demo } else { given };
        Self {
            five_hour: or(self.five_hour, usual.five_hour, DEMO_FIVE_HOUR),
            seven_day: or(self.seven_day, usual.seven_day, DEMO_SEVEN_DAY),
            first_byte_delay: or(self.first_byte_delay, usual.first_byte_delay, Duration::from_millis(250)),
            event_delay: or(self.event_delay, usual.event_delay, Duration::from_millis(20)),
            five_hour_requests: self.five_hour_requests.or(Some(DEMO_REQUESTS)),
            seven_day_requests: self.seven_day_requests.or(Some(20 * DEMO_REQUESTS)),
            ..self
        }
    }

    /// The faults in force from the start.
    pub fn faults(&self) -> Vec<Rule> {
        let rule = |(kind, probability)| Rule { probability, ..Rule::new(kind) };
        if self.demo { DEMO_FAILURES.map(rule).into() } else { Vec::new() }
    }

    /// The limits of accounts that have none of their own.
    pub fn limits(&self) -> LimitSpec {
        let quota = |requests, tokens| Some(Quota { requests, tokens }).filter(|quota| !quota.is_endless());
        LimitSpec {
            kind: None,
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            five_hour: quota(self.five_hour_requests, self.five_hour_tokens),
            seven_day: quota(self.seven_day_requests, self.seven_day_tokens),
            model_window: None,
        }
    }

    /// How long the windows last.
    pub fn window_lengths(&self) -> WindowLengths {
        WindowLengths { minute: self.minute, five_hour: self.five_hour, seven_day: self.seven_day }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: SignedDuration =
        text.parse().map_err(|_| "expected a time such as 250ms, 2s, 5h".to_owned())?;
    Duration::try_from(signed).map_err(|_| "a time cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5h"), Ok(Duration::from_secs(18_000)));
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
    }

    #[test]
    fn a_demo_fills_in_what_is_not_given() {
        let demo = Config { demo: true, five_hour_requests: Some(7), ..Config::default() }.settled();
        assert_eq!((demo.five_hour, demo.five_hour_requests), (DEMO_FIVE_HOUR, Some(7)));
        assert_eq!((demo.faults().len(), Config::default().settled().faults().len()), (3, 0));
    }

    #[test]
    fn without_flags_nothing_is_limited() {
        assert_eq!(Config::default().limits(), LimitSpec::default());
    }
}
