//! What is asked: written once, sent many times.

use bytes::Bytes;

/// How the simulator answers; the model of a request tells which simulator its account is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    Flat,
    /// Two milliseconds between two events.
    Paced,
    /// One event, then nothing for as long as anybody looks.
    Idle,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A short question, answered with a short JSON document.
    Small,
    /// What Claude Code sends in the middle of its work: 260 KB of tools, instructions and conversation.
    Large,
    /// The same under a model's name that the account maps to another.
    Aliased,
    /// A short question, answered with a stream of 56 events.
    Stream,
}

/// A name that accounts know the fast model by.
pub(crate) const ALIAS: &str = "claude-alias";

/// Different conversations, taken by turns.
const CONVERSATIONS: usize = 32;

/// Bytes of a large body, about.
const LARGE: usize = 260_000;

/// Headers as Claude Code sends them.
const HEADERS: &str = "accept: application/json\r\n\
    content-type: application/json\r\n\
    user-agent: claude-cli/2.1.197 (external, sdk-cli)\r\n\
    x-stainless-arch: x64\r\n\
    x-stainless-lang: js\r\n\
    x-stainless-os: Linux\r\n\
    x-stainless-package-version: 0.94.0\r\n\
    x-stainless-retry-count: 0\r\n\
    x-stainless-runtime: node\r\n\
    x-stainless-runtime-version: v26.3.0\r\n\
    x-stainless-timeout: 600\r\n\
    anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14,prompt-caching-scope-2026-01-05\r\n\
    anthropic-version: 2023-06-01\r\n\
    x-api-key: sk-ant-of-the-client\r\n\
    x-app: cli\r\n\
    host: llm.example.internal\r\n\
    accept-encoding: identity\r\n";

/// Instructions, as long and as full of quotes and line breaks as they are.
const PROSE: &str = r#"# Doing tasks\n\nThe user will ask for \"software engineering\" work: solving bugs, adding features, explaining code.\n- Read what is there before you change it; never guess what a file says.\n- Say what you did in one or two lines, with `path/to/file.rs:42` where it helps.\n\n<example>\nuser: what does `main` do?\nassistant: It reads \"config.toml\" and starts the server.\n</example>\n"#;

/// One tool with its schema.
const TOOL: &str = r#"{"name":"Tool","description":"PROSE","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"file_path":{"type":"string","description":"The absolute path of the file to change"},"old_string":{"type":"string","description":"What to replace"},"limit":{"type":"number","exclusiveMinimum":0},"replace_all":{"type":"boolean","default":false}},"required":["file_path","old_string"],"additionalProperties":false}}"#;

impl Pace {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Paced => "paced",
            Self::Idle => "idle",
        }
    }

    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::Flat => "claude-sonnet-5",
            Self::Paced => "claude-paced-5",
            Self::Idle => "claude-idle-5",
        }
    }

    /// As the simulator's flag wants it.
    pub(crate) fn event_delay(self) -> &'static str {
        match self {
            Self::Flat => "0s",
            Self::Paced => "2ms",
            Self::Idle => "1h",
        }
    }
}

/// The requests of some conversations, whole: head and body.
pub(crate) fn requests(kind: Kind, pace: Pace) -> Vec<Bytes> {
    (0..CONVERSATIONS).map(|number| request(kind, pace, number)).collect()
}

fn request(kind: Kind, pace: Pace, conversation: usize) -> Bytes {
    let body = match kind {
        Kind::Small => small(pace.model(), false),
        Kind::Stream => small(pace.model(), true),
        Kind::Large => large(pace.model()),
        Kind::Aliased => large(ALIAS),
    };
    let length = body.len();
    let head = format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\n{HEADERS}\
         x-claude-code-session-id: e7b8ab0b-62a7-49dd-9a68-aae7bc93{conversation:04x}\r\n\
         content-length: {length}\r\n\r\n"
    );
    (head + &body).into()
}

fn small(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":256,"messages":[{{"role":"user","content":"Say \"hi\" and nothing else."}}],"system":"You answer briefly.","stream":{stream}}}"#
    )
}

/// Instructions, tools and a conversation in which tools were used, a third of each.
fn large(model: &str) -> String {
    let prose = |bytes: usize| PROSE.repeat(bytes / PROSE.len());
    let tool = TOOL.replace("PROSE", &prose(3_000));
    let tools = vec![tool.as_str(); LARGE / 3 / tool.len()].join(",");
    let turn = format!(
        r#"{{"role":"assistant","content":[{{"type":"text","text":"I read the file."}},{{"type":"tool_use","id":"toolu_01","name":"Tool","input":{{"file_path":"/src/main.rs"}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"toolu_01","content":"{}"}}]}}"#,
        prose(8_000)
    );
    let turns = vec![turn.as_str(); LARGE / 3 / turn.len()].join(",");
    let system = prose(LARGE / 3);
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"Fix the bug."}},{turns}],"system":[{{"type":"text","text":"{system}","cache_control":{{"type":"ephemeral"}}}}],"tools":[{tools}],"metadata":{{"user_id":"user_of_a_benchmark"}},"max_tokens":64000,"stream":false}}"#
    )
}
