"""A workload: calls its provider in a loop with the official SDK, whole answers and streams in turn, and prints what
became of each request as one line of JSON, and a summary at the end.

  workload.py anthropic|openai

PAUSE_MS        between two requests
COUNT           of requests; 0: until SIGTERM
KEY_FILE        file that holds the API key, read anew for each request; else the SDK looks where it always does

The SDKs never try again here: whatever fails is seen. Exits with 1 if anything failed.
"""

import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time

REQUEST_ID = "x-penstock-request-id"
# By this the provider's journal knows who asked.
HEADERS = {"x-workload": socket.gethostname()}
SETTINGS = {"max_retries": 0, "timeout": 120.0, "default_headers": HEADERS}

stopped = threading.Event()


def anthropic_calls():
    import anthropic

    client = anthropic.Anthropic(**SETTINGS, **key())

    def asked(prompt):
        return {"model": "claude-sonnet-5", "max_tokens": 1024, "messages": [{"role": "user", "content": prompt}]}

    def whole(prompt, line):
        answer = client.messages.with_raw_response.create(**asked(prompt))
        line["id"] = answer.headers.get(REQUEST_ID)
        return answer.parse().content[0].text

    def stream(prompt, line):
        with client.messages.stream(**asked(prompt)) as events:
            line["id"] = events.response.headers.get(REQUEST_ID)
            answer = events.get_final_message()
        # The SDK does not mind a stream that just ends.
        assert answer.stop_reason == "end_turn", f"stop reason {answer.stop_reason}"
        return answer.content[0].text

    return client, whole, stream


def openai_calls():
    import openai

    client = openai.OpenAI(**SETTINGS, **key())

    def asked(prompt):
        return {"model": "gpt-5", "messages": [{"role": "user", "content": prompt}]}

    def whole(prompt, line):
        answer = client.chat.completions.with_raw_response.create(**asked(prompt))
        line["id"] = answer.headers.get(REQUEST_ID)
        return answer.parse().choices[0].message.content

    def stream(prompt, line):
        answer = client.chat.completions.with_raw_response.create(**asked(prompt), stream=True)
        line["id"] = answer.headers.get(REQUEST_ID)
        chosen = [choice for chunk in answer.parse() for choice in chunk.choices]
        assert any(choice.finish_reason == "stop" for choice in chosen), "the stream has no end"
        return "".join(choice.delta.content or "" for choice in chosen)

    return client, whole, stream


def key():
    file = os.environ.get("KEY_FILE")
    return {"api_key": pathlib.Path(file).read_text().strip()} if file else {}


def request(n, calls):
    client, whole, stream = calls
    for name, value in key().items():
        setattr(client, name, value)
    prompt, line = f"{HEADERS['x-workload']} {n}", {"n": n, "ok": True, "id": None}
    began = time.monotonic()
    try:
        text = (stream if n % 2 else whole)(prompt, line)
        assert text.startswith(f"You said: {prompt}.") and text.endswith("That is all."), f"answered {text[:100]!r}"
    except Exception as error:  # whatever it is, it is what a user would have seen
        cause = f" from {error.__cause__!r}" if error.__cause__ else ""
        line |= {"ok": False, "error": f"{type(error).__name__}: {error}{cause}", "at": time.time()}
        if response := getattr(error, "response", None):
            line["id"] = line["id"] or response.headers.get(REQUEST_ID)
    print(json.dumps(line | {"ms": round(1000 * (time.monotonic() - began))}), flush=True)
    return line["ok"]


def main():
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    calls = {"anthropic": anthropic_calls, "openai": openai_calls}[sys.argv[1]]()
    count, pause = int(os.environ.get("COUNT", "0")), int(os.environ.get("PAUSE_MS", "100")) / 1000
    done = {True: 0, False: 0}
    while not stopped.is_set() and (not count or sum(done.values()) < count):
        done[request(sum(done.values()), calls)] += 1
        stopped.wait(pause)
    print(json.dumps({"summary": {"ok": done[True], "failed": done[False]}}), flush=True)
    return 1 if done[False] else 0


sys.exit(main())
