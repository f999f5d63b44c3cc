"""The simulator's control interface."""

import json
import time
import urllib.parse
import urllib.request

# Far longer than anything here takes; only a test that has failed gets so far.
DEADLINE_SECONDS = 30


class Simulator:
    """Reads its journal and tells it what goes wrong."""

    def __init__(self, control_url: str) -> None:
        self.url = control_url.rstrip("/")

    def call(self, method: str, path: str, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def fault(self, **rule) -> None:
        self.call("POST", "/faults", rule)

    def requests(self, account: str | None = None) -> list[dict]:
        query = "" if account is None else "?" + urllib.parse.urlencode({"account": account})
        return self.call("GET", "/requests" + query)["requests"]

    def settled(self, account: str) -> list[dict]:
        """The account's requests, when none is under way any more."""
        return until(lambda: self.requests(account), lambda seen: all(r["ending"] != "open" for r in seen))


def until(look, holds):
    """Looks again until it holds, and returns what was seen."""
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > end:
            raise TimeoutError(f"never came true; last seen {str(seen)[:500]}")
        time.sleep(0.02)
