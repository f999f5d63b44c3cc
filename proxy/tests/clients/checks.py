"""What must hold after a client ran: what it got, what each account saw, and that no byte changed between."""

from datetime import datetime, timedelta, timezone

from cases import Case
from simulator import until
from targets import CLIENT_KEY

# A driver says so when an answer looked whole to the SDK and was not.
WRONG = {"AssertionError", "WrongAnswer"}
# A limit this long outlasts the two waves, and can be waited for.
LIMIT_SECONDS = 12
# Requests that a driver sends at once.
CONCURRENT = 50
# What stays between client and proxy.
NEVER_SENT = ("x-penstock-", "cookie", "proxy-")


def case(run, wanted: Case) -> None:
    accounts = run.accounts
    if wanted.fault is not None:
        for account in {accounts.first, accounts.second if wanted.everyone else accounts.first}:
            run.simulator.fault(**wanted.fault, account=account)
    verdict = run.drive(wanted.operations_of(run.client))
    check_verdict(verdict, wanted, run.pooled)
    first = run.simulator.settled(accounts.first)
    received = first + run.simulator.settled(accounts.second) if run.pooled else first
    if run.pooled:
        check_accounts(first, wanted)
        check_headers(received)
        # A client's own credential would be an account of the simulator's, too.
        assert not run.simulator.requests(CLIENT_KEY), "a request went out with the client's credential"
    check_bytes(run.tee.take(), received, wanted.expects)


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


def check_accounts(first: list, wanted: Case) -> None:
    if wanted.fault is None:
        assert first, "the first account was never asked"
        return
    struck = [request for request in first if request["cause"] == wanted.fault["kind"]]
    assert struck, "the fault never struck the first account"
    if wanted.strikes is not None:
        assert len(first) <= wanted.strikes, f"the first account saw {len(first)} requests"


def check_headers(received: list) -> None:
    for request in received:
        for header, value in request["headers"]:
            assert CLIENT_KEY not in value, f"the client's credential reached the provider in {header}"
            assert not header.startswith(NEVER_SENT), f"{header} reached the provider"


def check_bytes(sent: list, received: list, expects: str) -> None:
    bodies = {one.sha256 for one in sent if one.length}
    for request in received:
        if request["bodyLength"]:
            assert request["bodySha256"] in bodies, f"{request['path']}: bytes differ from those sent"
    if expects == "answers":
        answered = {request["bodySha256"] for request in received if request["status"] == 200}
        missing = [one for one in sent if one.length and one.sha256 not in answered]
        assert not missing, f"never answered upstream: {missing}"


def cancellation(run) -> None:
    """A client that leaves takes its request along, at once."""
    account = run.accounts.first
    run.simulator.fault(kind="slow", eventDelayMs=50, account=account)
    verdict = run.drive(["cancel"])
    assert verdict["cancel"]["ok"], verdict
    requests = run.simulator.settled(account)
    assert [request["ending"] for request in requests] == ["clientLeft"], f"{requests}"
    assert requests[0]["sentFrames"] < 40, f"it ran on for {requests[0]['sentFrames']} events"


def many(run) -> None:
    """Fifty clients at once: after its 429 an account sees nothing but what was under way, until its reset."""
    account = run.accounts.first
    if not run.pooled:
        return wave(run)
    run.simulator.fault(kind="five_hour", account=account, resetsInSeconds=LIMIT_SECONDS)
    reset = datetime.now(timezone.utc) + timedelta(seconds=LIMIT_SECONDS)
    wave(run)
    first = run.simulator.settled(account)
    assert 1 <= len(first) <= CONCURRENT, f"{len(first)} requests reached the limited account"
    assert_only_what_was_under_way(first)
    wave(run)
    seen = [request for request in run.simulator.settled(account) if at(request["receivedAt"]) < reset]
    assert len(seen) == len(first), f"{len(seen) - len(first)} requests reached it before its reset"

    def used_again() -> bool:
        wave(run)
        return any(request["status"] == 200 for request in run.simulator.settled(account))

    until(used_again, bool)


def wave(run) -> None:
    result = run.drive(["many"])["many"]
    assert result["ok"], result["error"]


def assert_only_what_was_under_way(requests: list) -> None:
    """What arrived after the first 429 was out may have been sent before it was read; nothing came twice."""
    bodies = [request["bodySha256"] for request in requests]
    assert len(bodies) == len(set(bodies)), "a client was sent to the limited account twice"


def at(timestamp: str) -> datetime:
    """Python reads microseconds only."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}+00:00")
