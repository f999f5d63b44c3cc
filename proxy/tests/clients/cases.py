"""What goes wrong with the first account, and what a client may notice of it."""

from dataclasses import dataclass

BOTH = ("anthropic", "openai")

# Every operation of a client, the short form for cases in which one whole and one streamed answer tell enough, and
# the operations that a break after the first byte reaches.
OPERATIONS = {
    "anthropic-python": ["message", "stream", "tools", "count_tokens", "models"],
    "anthropic-node": ["message", "stream", "tools", "count_tokens", "models"],
    "openai-python": [
        "chat", "chat_stream", "chat_tools", "responses", "responses_stream", "responses_tools", "embeddings", "models",
    ],
    "openai-node": [
        "chat", "chat_stream", "chat_tools", "responses", "responses_stream", "responses_tools", "embeddings", "models",
    ],
    "claude-code": ["prompt", "tools"],
    "codex": ["prompt", "tools"],
}  # fmt: skip
# Those that name a model.
ASKING = {client: [o for o in operations if o != "models"] for client, operations in OPERATIONS.items()}
STREAMS = {
    "anthropic-python": ["stream"],
    "anthropic-node": ["stream"],
    "openai-python": ["chat_stream", "responses_stream"],
    "openai-node": ["chat_stream", "responses_stream"],
}
WHOLES = {
    "anthropic-python": ["message"],
    "anthropic-node": ["message"],
    "openai-python": ["chat", "responses"],
    "openai-node": ["chat", "responses"],
}
FAMILY = {
    "anthropic-python": "anthropic",
    "anthropic-node": "anthropic",
    "claude-code": "anthropic",
    "openai-python": "openai",
    "openai-node": "openai",
    "codex": "openai",
}


@dataclass(frozen=True)
class Case:
    """`expects`: `answers` = complete and right as if nothing were wrong; `notices` = an error of the SDK, never
    half an answer that looks whole; `limited` = the SDK's own rate limit error."""

    name: str
    fault: dict | None = None
    expects: str = "answers"
    families: tuple = BOTH
    operations: dict | None = None
    # How often the fault may strike until the account is left alone; None: it is not left alone.
    strikes: int | None = None
    # Whether it also holds without a pool.
    direct: bool = False
    everyone: bool = False

    def operations_of(self, client: str) -> list[str]:
        if FAMILY[client] not in self.families:
            return []
        return (OPERATIONS if self.operations is None else self.operations).get(client, [])


def before(kind: str, families=BOTH, strikes=None, **more) -> Case:
    """The account fails before it has answered anything: nobody may notice."""
    return Case(kind, {"kind": kind, **more}, families=families, strikes=strikes)


def midway(name: str, kind: str, operations: dict, **more) -> Case:
    """The answer breaks when part of it is out: nobody may take it for whole."""
    return Case(name, {"kind": kind, **more}, expects="notices", operations=operations, direct=True)


CASES = [
    Case("healthy", direct=True),
    before("five_hour", strikes=1),
    before("seven_day", families=("anthropic",), strikes=1),
    Case("model_window", {"kind": "model_window"}, families=("anthropic",), operations=ASKING, strikes=1),
    before("per_minute", strikes=1, resetsInSeconds=600),
    before("windowless"),
    before("insufficient_quota", families=("openai",), strikes=1),
    before("overloaded", times=6),
    Case("overloaded_event", {"kind": "overloaded_event", "times": 3}, operations=STREAMS),
    before("unauthorized", strikes=1),
    before("billing", strikes=1),
    before("forbidden", strikes=1),
    before("model_not_found"),
    before("server_error"),
    before("bad_gateway"),
    before("unavailable"),
    before("gateway_timeout"),
    before("reset"),
    Case("hang", {"kind": "hang", "times": 1}),
    Case("slow", {"kind": "slow", "firstByteDelayMs": 200, "eventDelayMs": 5}, direct=True),
    midway("error event midway", "error_event", STREAMS),
    midway("stream cut", "cut", STREAMS),
    midway("stream truncated", "truncated", STREAMS),
    midway("stream reset", "reset_midway", STREAMS),
    midway("body cut", "cut", WHOLES),
    midway("body truncated", "truncated", WHOLES),
    midway("body reset", "reset_midway", WHOLES),
    # Command line clients try again by themselves when they notice.
    Case(
        "stream cut once",
        {"kind": "cut", "times": 1},
        operations={"claude-code": ["prompt"], "codex": ["prompt"]},
        direct=True,
    ),
    Case("everyone limited", {"kind": "five_hour"}, expects="limited", operations=STREAMS, direct=True, everyone=True),
]
