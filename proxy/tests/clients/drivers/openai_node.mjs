// Drives OpenAI's SDK for Node: Chat Completions, Responses, embeddings, models.

import { createRequire } from "node:module";
import { apiKey, baseURL, check, main, said, timeout, told, weather } from "./common.mjs";

// The SDK is installed in a cache, not beside this file.
const { default: OpenAI } = createRequire(process.env.CLIENT_MODULES)("openai");
const client = new OpenAI({ baseURL, apiKey, timeout, maxRetries: 0 });
const model = "gpt-5";
const useTool = 'use the tool weather with {"city": "Köln"}';
const asked = (prompt, more = {}) => ({ model, messages: [{ role: "user", content: prompt }], ...more });

await main("openai-node", {
  async chat() {
    const answer = await client.chat.completions.create(asked("whole ä日本"));
    said("whole ä日本", answer.choices[0].message.content);
    check(answer.choices[0].finish_reason === "stop" && answer.usage.total_tokens > 0, "no usage");
  },
  async chat_stream() {
    const stream = await client.chat.completions.create(
      asked("stream", { stream: true, stream_options: { include_usage: true } }),
    );
    const pieces = [];
    let finish = null;
    let usage = null;
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        pieces.push(choice.delta.content ?? "");
        finish = choice.finish_reason ?? finish;
      }
    }
    said("stream", pieces.join(""));
    check(finish === "stop" && usage.completion_tokens > 10, `finish ${finish}`);
  },
  async chat_tools() {
    const tools = [{ type: "function", function: { name: "weather", parameters: weather } }];
    const first = await client.chat.completions.stream(asked(useTool, { tools })).finalMessage();
    const call = first.tool_calls[0];
    check(JSON.parse(call.function.arguments).city === "Köln", JSON.stringify(first));
    const messages = [
      { role: "user", content: useTool },
      { role: "assistant", tool_calls: [{ id: call.id, type: "function", function: call.function }] },
      { role: "tool", tool_call_id: call.id, content: "21 degrees" },
    ];
    const second = await client.chat.completions.create({ model, messages, tools });
    told("21 degrees", second.choices[0].message.content);
  },
  async responses() {
    const answer = await client.responses.create({ model, input: "whole" });
    said("whole", answer.output_text);
    check(answer.status === "completed" && answer.usage.total_tokens > 0, "no usage");
  },
  async responses_stream() {
    const stream = client.responses.stream({ model, input: "stream" });
    const pieces = [];
    stream.on("response.output_text.delta", (event) => pieces.push(event.delta));
    const answer = await stream.finalResponse();
    said("stream", pieces.join(""));
    check(answer.usage.output_tokens > 10, "no usage");
  },
  async responses_tools() {
    const tools = [{ type: "function", name: "weather", parameters: weather, strict: false }];
    const first = await client.responses.stream({ model, input: useTool, tools }).finalResponse();
    const call = first.output.find((item) => item.type === "function_call");
    check(JSON.parse(call.arguments).city === "Köln", JSON.stringify(first.output));
    const input = [
      { role: "user", content: useTool },
      { type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments },
      { type: "function_call_output", call_id: call.call_id, output: "21 degrees" },
    ];
    const second = await client.responses.create({ model, input, tools });
    told("21 degrees", second.output_text);
  },
  async embeddings() {
    const answer = await client.embeddings.create({
      model: "text-embedding-3-small",
      input: ["one", "two"],
      dimensions: 8,
    });
    check(answer.data.every((one) => one.embedding.length === 8), "wrong length");
  },
  async models() {
    const listed = [];
    for await (const one of client.models.list()) listed.push(one.id);
    check(listed.length > 0, "no models");
  },
  async cancel() {
    const stream = await client.chat.completions.create(asked("cancel", { stream: true }));
    let seen = 0;
    for await (const _chunk of stream) if (++seen === 5) break;
    stream.controller.abort();
  },
});
