"""What the drivers share: their settings, and the one line of JSON they print."""

import json
import os
import subprocess
import sys

BASE_URL = os.environ["CLIENT_BASE_URL"]
API_KEY = os.environ["CLIENT_API_KEY"]
# A test that hangs must fail, and slow machines must not.
TIMEOUT_SECONDS = 60
CONCURRENT = 50
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def said(prompt: str, text: str) -> None:
    """The whole answer to this prompt, and to no other."""
    assert text.startswith(f"You said: {prompt}."), f"begins {text[:60]!r}"
    assert text.endswith("That is all."), f"ends {text[-40:]!r}"


def told(result: str, text: str) -> None:
    """The whole answer after a tool returned this result."""
    assert text.startswith(f"The tool said: {result}."), f"begins {text[:60]!r}"
    assert text.endswith("That is all."), f"ends {text[-40:]!r}"


def outcome(error: BaseException) -> dict:
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    return {
        "ok": False,
        "error": f"{type(error).__name__}: {str(error)[:300]}",
        "kind": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "retryAfter": headers.get("retry-after"),
    }


def main(client: str, operations: dict) -> None:
    """Runs the operations named on the command line and prints how each went."""
    results = {}
    for name in sys.argv[1:]:
        try:
            results[name] = {"ok": True, **(operations[name]() or {})}
        except Exception as error:  # whatever a client raises is its verdict
            results[name] = outcome(error)
    print(json.dumps({"client": client, "operations": results}))


def command(arguments: list, environment: dict, folder: str) -> str:
    """Runs a command line client with nothing of its user's, and returns its standard output."""
    finished = subprocess.run(
        arguments,
        env={"PATH": os.environ["PATH"], "HOME": folder, "NO_COLOR": "1", **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT_SECONDS,
        check=False,
    )
    last = (finished.stdout + finished.stderr).strip()[-300:]
    assert finished.returncode == 0, f"exit code {finished.returncode}: {last}"
    return finished.stdout
