"""What must hold after a client ran: what it got, what each account saw, and that no byte changed between."""

from datetime import datetime, timedelta, timezone

from cases import Case
from simulator import until

# A driver says so when an answer looked whole to the SDK and was not.
WRONG = {"AssertionError", "WrongAnswer"}
# A limit this long outlasts the two waves, and can be waited for.
LIMIT_SECONDS = 12
HOP_BY_HOP_OR_OURS = ("x-penstock-", "cookie", "proxy-")


def case(harness, name: str, client: str, wanted: Case) -> None:
    accounts = harness.fresh(name)
    if wanted.fault is not None:
        of = {} if wanted.everyone else {"account": accounts.first}
        harness.simulator.fault(**wanted.fault, **of)
    verdict = harness.drive(client, wanted.operations_of(client))
    check_verdict(verdict, wanted, harness.target.pooled)
    first = harness.simulator.settled(accounts.first)
    second = harness.simulator.settled(accounts.second)
    if harness.target.pooled:
        check_accounts(harness, first, second, wanted)
    check_bytes(harness.sent(client), harness.simulator.requests(), wanted.expects)


def check_verdict(verdict: dict, wanted: Case, pooled: bool) -> None:
    for operation, result in verdict.items():
        if wanted.expects == "answers":
            assert result["ok"], f"{operation}: {result['error']}"
            continue
        assert not result["ok"], f"{operation} took a broken answer for a whole one"
        if wanted.expects == "limited":
            assert (result["kind"], result["status"]) == ("RateLimitError", 429), f"{operation}: {result}"
            assert result["retryAfter"], f"{operation}: no retry-after"
        # Without a pool, some SDKs do not mind a stream that just ends; behind one they must be told.
        elif pooled:
            assert result["kind"] not in WRONG, f"{operation}: the SDK noticed nothing: {result['error']}"


def check_accounts(harness, first: list, second: list, wanted: Case) -> None:
    everything = harness.simulator.requests()
    assert len(everything) == len(first) + len(second), "a request went out with a credential of nobody"
    for request in everything:
        for header, value in request["headers"]:
            assert "of-the-client" not in value, f"the client's credential reached the provider in {header}"
            assert not header.startswith(HOP_BY_HOP_OR_OURS), f"{header} reached the provider"
    if wanted.fault is not None:
        struck = [request for request in first if request["cause"] == wanted.fault["kind"]]
        assert struck, "the first account was never asked"
        if wanted.strikes is not None:
            assert len(struck) <= wanted.strikes, f"the first account was asked {len(struck)} times"
        if wanted.expects == "answers" and wanted.strikes is not None:
            assert len(first) <= wanted.strikes, f"the first account saw {len(first)} requests"


def check_bytes(sent: list, received: list, expects: str) -> None:
    bodies = {one.sha256 for one in sent if one.length}
    for request in received:
        if request["bodyLength"]:
            assert request["bodySha256"] in bodies, f"{request['path']}: bytes differ from those sent"
    if expects == "answers":
        answered = {request["bodySha256"] for request in received if request["status"] == 200}
        missing = [one for one in sent if one.length and one.sha256 not in answered]
        assert not missing, f"never answered upstream: {missing}"


def cancellation(harness, name: str, client: str) -> None:
    """A client that leaves takes its request along, at once, and no account is blamed."""
    accounts = harness.fresh(name)
    harness.simulator.fault(kind="slow", eventDelayMs=50)
    verdict = harness.drive(client, ["cancel"])
    assert verdict["cancel"]["ok"], verdict
    requests = harness.simulator.settled(accounts.first)
    assert [request["ending"] for request in requests] == ["clientLeft"], f"{requests}"
    assert requests[0]["sentFrames"] < 40, f"it ran on for {requests[0]['sentFrames']} events"


def many(harness, name: str, client: str) -> None:
    """Fifty clients at once: after its 429 an account sees nothing but what was under way, until its reset."""
    accounts = harness.fresh(name)
    if not harness.target.pooled:
        assert harness.drive(client, ["many"])["many"]["ok"]
        return
    harness.simulator.fault(kind="five_hour", account=accounts.first, resetsInSeconds=LIMIT_SECONDS)
    reset = datetime.now(timezone.utc) + timedelta(seconds=LIMIT_SECONDS)
    assert all(result["ok"] for result in harness.drive(client, ["many"]).values()), "first wave"
    first = harness.simulator.settled(accounts.first)
    assert 1 <= len(first) <= 50, f"{len(first)} requests of 50 clients reached the limited account"
    assert_only_what_was_under_way(first)
    assert all(result["ok"] for result in harness.drive(client, ["many"]).values()), "second wave"
    seen = [request for request in harness.simulator.settled(accounts.first) if at(request["receivedAt"]) < reset]
    assert len(seen) == len(first), f"{len(seen) - len(first)} requests reached it before its reset"
    until(
        lambda: harness.drive(client, ["many"]) and harness.simulator.settled(accounts.first),
        lambda requests: any(request["status"] == 200 for request in requests),
    )


def assert_only_what_was_under_way(requests: list) -> None:
    """What arrived after the first 429 was out may have been sent before it was read; nothing came twice."""
    bodies = [request["bodySha256"] for request in requests]
    assert len(bodies) == len(set(bodies)), "a client was sent to the limited account twice"


def at(timestamp: str) -> datetime:
    """Python reads microseconds only."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}+00:00")
