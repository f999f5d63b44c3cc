"""Drives OpenAI's SDK for Python: Chat Completions, Responses, embeddings, models."""

import asyncio
import json

import openai

from common import API_KEY, BASE_URL, CONCURRENT, TIMEOUT_SECONDS, WEATHER, main, said, told

MODEL = "gpt-5"
SETTINGS = {"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": TIMEOUT_SECONDS}
client = openai.OpenAI(**SETTINGS)
USE_TOOL = 'use the tool weather with {"city": "Köln"}'


def asked(prompt: str, **more) -> dict:
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **more}


def chat():
    answer = client.chat.completions.create(**asked("whole ä日本"))
    said("whole ä日本", answer.choices[0].message.content)
    assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0


def chat_stream():
    pieces, finish, usage = [], None, None
    for chunk in client.chat.completions.create(
        **asked("stream", stream=True, stream_options={"include_usage": True})
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    said("stream", "".join(pieces))
    assert finish == "stop" and usage.completion_tokens > 10


def chat_tools():
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    with client.chat.completions.stream(**asked(USE_TOOL, tools=tools)) as events:
        first = events.get_final_completion().choices[0].message
    call = first.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Köln"})
    function = {"name": call.function.name, "arguments": call.function.arguments}
    messages = [
        {"role": "user", "content": USE_TOOL},
        {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"},
    ]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
    told("21 degrees", second.choices[0].message.content)


def responses():
    answer = client.responses.create(model=MODEL, input="whole")
    said("whole", answer.output_text)
    assert answer.status == "completed" and answer.usage.total_tokens > 0


def responses_stream():
    with client.responses.stream(model=MODEL, input="stream") as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        answer = events.get_final_response()
    said("stream", "".join(pieces))
    said("stream", answer.output_text)
    assert answer.usage.output_tokens > 10


def responses_tools():
    tools = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    with client.responses.stream(model=MODEL, input=USE_TOOL, tools=tools) as events:
        first = events.get_final_response()
    call = next(item for item in first.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Köln"})
    items = [
        {"role": "user", "content": USE_TOOL},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"},
    ]
    second = client.responses.create(model=MODEL, input=items, tools=tools)
    told("21 degrees", second.output_text)


def embeddings():
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8)
    assert [len(one.embedding) for one in answer.data] == [8, 8]


def models():
    assert [model.id for model in client.models.list()], "no models"


def cancel():
    stream = client.chat.completions.create(**asked("cancel", stream=True))
    for _, _chunk in zip(range(5), stream):
        pass
    stream.close()


async def one(asynchronous, n: int):
    prompt = f"many {n}"
    async with asynchronous.responses.stream(model=MODEL, input=prompt) as events:
        answer = await events.get_final_response()
    said(prompt, answer.output_text)


async def all_at_once():
    async with openai.AsyncOpenAI(**SETTINGS) as asynchronous:
        await asyncio.gather(*(one(asynchronous, n) for n in range(CONCURRENT)))


def many():
    asyncio.run(all_at_once())


main(
    "openai-python",
    {
        "chat": chat,
        "chat_stream": chat_stream,
        "chat_tools": chat_tools,
        "responses": responses,
        "responses_stream": responses_stream,
        "responses_tools": responses_tools,
        "embeddings": embeddings,
        "models": models,
        "cancel": cancel,
        "many": many,
    },
)
