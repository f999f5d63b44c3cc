"""Drives Anthropic's SDK for Python."""

import asyncio

import anthropic

from common import API_KEY, BASE_URL, CONCURRENT, TIMEOUT_SECONDS, WEATHER, main, said, told

MODEL = "claude-sonnet-5"
SETTINGS = {"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": TIMEOUT_SECONDS}
client = anthropic.Anthropic(**SETTINGS)


def asked(prompt: str, **more) -> dict:
    return {"model": MODEL, "max_tokens": 1024, "messages": [{"role": "user", "content": prompt}], **more}


def message():
    answer = client.messages.create(**asked("whole ä日本"))
    said("whole ä日本", answer.content[0].text)
    assert answer.stop_reason == "end_turn" and answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def stream():
    with client.messages.stream(**asked("stream")) as events:
        pieces = list(events.text_stream)
        answer = events.get_final_message()
    said("stream", "".join(pieces))
    # The SDK does not mind a stream that just ends; a right answer has a reason to stop.
    assert answer.stop_reason == "end_turn", f"stop reason {answer.stop_reason}"
    assert answer.usage.output_tokens > 10


def tools():
    tool = {"name": "weather", "description": "The weather of a city.", "input_schema": WEATHER}
    prompt = 'use the tool weather with {"city": "Köln"}'
    with client.messages.stream(**asked(prompt, tools=[tool])) as events:
        first = events.get_final_message()
    call = next(block for block in first.content if block.type == "tool_use")
    assert first.stop_reason == "tool_use" and (call.name, call.input) == ("weather", {"city": "Köln"})
    messages = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}]},
    ]
    second = client.messages.create(model=MODEL, max_tokens=1024, messages=messages, tools=[tool])
    told("21 degrees", second.content[0].text)


def count_tokens():
    counted = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "count"}])
    assert counted.input_tokens > 0


def models():
    listed = [model.id for model in client.models.list()]
    assert listed, "no models"


def cancel():
    with client.messages.stream(**asked("cancel")) as events:
        for _, _event in zip(range(5), events):
            pass


async def one(asynchronous, n: int):
    prompt = f"many {n}"
    async with asynchronous.messages.stream(**asked(prompt)) as events:
        answer = await events.get_final_message()
    said(prompt, answer.content[0].text)
    assert answer.stop_reason == "end_turn"


async def all_at_once():
    async with anthropic.AsyncAnthropic(**SETTINGS) as asynchronous:
        await asyncio.gather(*(one(asynchronous, n) for n in range(CONCURRENT)))


def many():
    asyncio.run(all_at_once())


main(
    "anthropic-python",
    {
        "message": message,
        "stream": stream,
        "tools": tools,
        "count_tokens": count_tokens,
        "models": models,
        "cancel": cancel,
        "many": many,
    },
)
