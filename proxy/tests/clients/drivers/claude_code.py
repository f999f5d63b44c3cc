"""Drives the Claude Code command line client, headless, in a home of its own."""

import json
import os
import tempfile

from common import API_KEY, BASE_URL, command, main, said, told

CLAUDE = os.path.join(os.path.dirname(os.environ["CLIENT_MODULES"]), "node_modules/.bin/claude")
ENVIRONMENT = {
    "ANTHROPIC_BASE_URL": BASE_URL,
    "ANTHROPIC_API_KEY": API_KEY,
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
}


def claude(prompt: str, *arguments: str) -> dict:
    with tempfile.TemporaryDirectory(prefix="penstock-claude-") as home:
        line = [CLAUDE, "-p", prompt, "--output-format", "json", *arguments]
        answer = json.loads(command(line, ENVIRONMENT, home))
    assert not answer["is_error"], answer["result"]
    return answer


def prompt():
    answer = claude("hello from the command line")
    said("hello from the command line", answer["result"])
    assert answer["usage"]["output_tokens"] > 10


def tools():
    ask = 'use the tool Bash with {"command": "echo forty-$((40+2))", "description": "Counts"}'
    answer = claude(ask, "--allowedTools", "Bash")
    told("forty-42", answer["result"])
    assert answer["num_turns"] == 2, f"{answer['num_turns']} turns"


main("claude-code", {"prompt": prompt, "tools": tools})
