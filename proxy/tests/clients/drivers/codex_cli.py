"""Drives the Codex command line client, headless, in a home of its own."""

import json
import os
import pathlib
import tempfile

from common import API_KEY, BASE_URL, command, main, said

CODEX = os.path.join(os.path.dirname(os.environ["CLIENT_MODULES"]), "node_modules/.bin/codex")
CONFIG = f"""
model = "gpt-5"
model_provider = "tested"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.tested]
name = "tested"
base_url = "{BASE_URL}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""


def codex(prompt: str, *arguments: str) -> list:
    """The events of a run."""
    with tempfile.TemporaryDirectory(prefix="penstock-codex-") as home:
        folder = pathlib.Path(home, ".codex")
        folder.mkdir()
        (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
        environment = {"CODEX_HOME": str(folder), "OPENAI_API_KEY": API_KEY}
        line = [CODEX, "exec", "--skip-git-repo-check", "--json", *arguments, prompt]
        output = command(line, environment, home)
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def last_message(events: list) -> str:
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    messages = [item["text"] for item in items if item["type"] == "agent_message"]
    assert messages, f"no message in {events}"
    return messages[-1]


def prompt():
    events = codex("hello from the command line")
    said("hello from the command line", last_message(events))
    assert events[-1]["type"] == "turn.completed" and events[-1]["usage"]["output_tokens"] > 10


def tools():
    # The command is harmless, and the sandbox is not what is tested.
    ask = 'use the tool exec_command with {"cmd": "echo forty-$((40+2))"}'
    events = codex(ask, "--dangerously-bypass-approvals-and-sandbox")
    ran = [event["item"] for event in events if event.get("item", {}).get("type") == "command_execution"]
    assert any("forty-42" in item.get("aggregated_output", "") for item in ran), f"no command ran: {events}"
    text = last_message(events)
    assert text.startswith("The tool said: ") and text.endswith("That is all."), text


main("codex", {"prompt": prompt, "tools": tools})
