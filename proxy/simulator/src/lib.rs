//! A provider that behaves like the real ones, with limits and faults on command.
//!
//! It is what `penstock up --demo`, the tests and the benchmark talk to instead of Anthropic, OpenAI and
//! the Codex backend. It is an oracle, so it shares no code with the proxy: what it says of a wire format
//! is written here a second time, from the providers' documents.
//!
//! It must never reach out to the network, and never see a credential that matters: it keeps what it
//! receives, headers included, for the tests to read.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the flags, and the JSON file of accounts |
//! | `listener`, `tls` | sockets, connections, certificates |
//! | `service` | a request's way from head to answer |
//! | `route` | which provider and operation a path means |
//! | `ask`, `answer` | what was asked, and the answer before it has a dialect |
//! | `anthropic`, `openai`, `codex` | how each provider phrases answers, streams, headers and errors |
//! | [`limits`], `accounts` | windows that count and reset, per credential |
//! | [`faults`] | what goes wrong on command |
//! | `playback` | a body that is sent at its pace, and may break |
//! | [`journal`] | what was received, for tests to read |
//! | `control` | the HTTP interface to all of this |
//! | `bench` | the short way that only answers |
//!
//! # Where it listens
//!
//! One listener serves every provider, over HTTP/1.1 and HTTP/2 (prior knowledge; ALPN with `--tls`):
//!
//! | base URL | operations |
//! |---|---|
//! | `http://HOST/anthropic` (also `http://HOST`) | `POST /v1/messages`, `/v1/messages/count_tokens`, `GET /v1/models[/{id}]`, `/api/oauth/usage` |
//! | `http://HOST/openai/v1` (also `http://HOST/v1`) | `POST /chat/completions`, `/responses`, `/responses/compact`, `/responses/input_tokens`, `/embeddings`, `GET /models[/{id}]` |
//! | `http://HOST/codex` (also `/backend-api/codex`) | `POST /responses` (SSE only, allow-listed body), `/responses/compact`, `GET /models` |
//!
//! When it is ready it prints one line on standard output:
//! `{"listen":"127.0.0.1:40123","control":"http://127.0.0.1:40123/_control"}`.
//!
//! # What it answers
//!
//! An account is a credential (`authorization: Bearer …` or `x-api-key`); any is accepted unless some are
//! named by `--keys` or `--accounts`. Credentials that begin `sk-ant-oat` are subscriptions and get the
//! unified 5-hour and 7-day headers; others get per-minute headers.
//!
//! The text of an answer begins `You said: <first 80 characters of the last user text>.` and ends
//! `That is all.`. Usage is computed: input = bytes of the body ÷ 4 rounded up (split into cache read and
//! write where the provider would), output = bytes of text ÷ 4 rounded up. `max_tokens` cuts nothing.
//!
//! A request that has tools, and whose last user text contains `use the tool`, is answered by a call of the
//! first tool, with arguments that fit its schema; `use the tool NAME with {"json":1}` chooses both. When
//! the result comes back, the text begins `The tool said: <first 80 characters of the result>.`.
//!
//! # The control interface
//!
//! All bodies are JSON, all fields camelCase.
//!
//! | request | effect |
//! |---|---|
//! | `GET /_control/requests` | the journal: `{"requests":[…],"dropped":0}`; query `account`, `path`, `status`, `after` (n) select |
//! | `DELETE /_control/requests` | empties the journal |
//! | `GET /_control/bodies/{n}` | the body of request `n`, as received |
//! | `GET /_control/accounts` | per credential: requests, in flight, most in flight, limits and windows |
//! | `PUT /_control/accounts/{credential}/limits` | sets its limits |
//! | `POST /_control/accounts/{credential}/reset` | starts all its windows anew |
//! | `PUT /_control/limits` | limits of accounts that have none of their own |
//! | `POST /_control/faults` | adds a fault (below); answers `{"id":1}` |
//! | `GET /_control/faults` | the faults in force, with how often each struck |
//! | `DELETE /_control/faults[/{id}]` | lifts one or all |
//! | `GET`, `PATCH /_control/behaviour` | `eventDelayMs`, `firstByteDelayMs`, `events`, `gzip`, `thinking` |
//! | `POST /_control/reset` | empties the journal, lifts faults, starts all windows anew |
//! | `GET /_control/health` | `{"status":"ok"}` |
//!
//! An entry of the journal: `n, account, method, path, query, protocol, headers [[name, value]…],
//! bodyLength, bodySha256, bodyComplete, model, stream, receivedAt, answeredAt, finishedAt, status,
//! requestId, cause, sentBytes, sentFrames, ending`. `path` is what follows the provider's prefix.
//! `cause` names the fault or limit that shaped the answer. `ending` is `open` while it runs, then
//! `complete`, `clientLeft` (the client went away first), or `broken` (a fault cut it).
//!
//! A fault: `{"kind":"five_hour","account":"sk-…","path":"/v1/messages","model":"claude-*","times":1,
//! "probability":0.1,"resetsInSeconds":30}`. Only `kind` is required; `account`, `path` (a part of the
//! path) and `model` (a glob) narrow it down; `times` limits how often it strikes; `skip` lets that many
//! requests pass first. The faults that announce a reset end at it. Kinds:
//!
//! | kind | what the client sees |
//! |---|---|
//! | `five_hour`, `seven_day`, `model_window` | 429 with that unified window rejected (`resetsInSeconds`); in the Codex dialect `usage_limit_reached` |
//! | `per_minute` | 429 with `retry-after` (`resetsInSeconds`), per-minute headers at 0, `rate_limit_exceeded` |
//! | `windowless` | 429 without any limit header |
//! | `insufficient_quota`, `usage_limit_reached`, `usage_not_included` | OpenAI's and Codex' 429 of that code |
//! | `overloaded` | 529, or OpenAI's 503 `server_is_overloaded` |
//! | `overloaded_event` | 200, and the overload as the first event of the stream |
//! | `error_event` | an error event after `afterEvents` events |
//! | `cut` | the body stops in its middle (`afterEvents`) and the connection closes without an end |
//! | `truncated` | the body stops in its middle and ends as if it were complete |
//! | `reset`, `reset_midway` | TCP reset before the head, or in the middle of the body |
//! | `hang`, `hang_midway` | silence before the head, or in the middle of the body |
//! | `unauthorized`, `billing`, `forbidden`, `model_not_found` | 401, 402, 403, 404 |
//! | `server_error`, `bad_gateway`, `unavailable`, `gateway_timeout` | 500, 502 (HTML), 503, 504 |
//! | `slow` | `firstByteDelayMs` and `eventDelayMs`; joins with another fault |

pub mod config;
pub mod limits;

pub use config::Config;
