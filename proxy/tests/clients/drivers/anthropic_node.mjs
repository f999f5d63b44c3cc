// Drives Anthropic's SDK for Node.

import { createRequire } from "node:module";
import { apiKey, baseURL, check, main, said, timeout, told, weather } from "./common.mjs";

// The SDK is installed in a cache, not beside this file.
const { default: Anthropic } = createRequire(process.env.CLIENT_MODULES)("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL, apiKey, timeout, maxRetries: 0 });
const asked = (prompt, more = {}) => ({
  model: "claude-sonnet-5",
  max_tokens: 1024,
  messages: [{ role: "user", content: prompt }],
  ...more,
});

await main("anthropic-node", {
  async message() {
    const answer = await client.messages.create(asked("whole ä日本"));
    said("whole ä日本", answer.content[0].text);
    check(answer.stop_reason === "end_turn" && answer.usage.input_tokens > 0, "no usage");
  },
  async stream() {
    const stream = client.messages.stream(asked("stream"));
    const pieces = [];
    stream.on("text", (piece) => pieces.push(piece));
    const answer = await stream.finalMessage();
    said("stream", pieces.join(""));
    check(answer.stop_reason === "end_turn", `stop reason ${answer.stop_reason}`);
    check(answer.usage.output_tokens > 10, "no usage");
  },
  async tools() {
    const tools = [{ name: "weather", description: "The weather of a city.", input_schema: weather }];
    const prompt = 'use the tool weather with {"city": "Köln"}';
    const first = await client.messages.stream(asked(prompt, { tools })).finalMessage();
    const call = first.content.find((block) => block.type === "tool_use");
    check(first.stop_reason === "tool_use" && call.input.city === "Köln", JSON.stringify(first));
    const messages = [
      { role: "user", content: prompt },
      { role: "assistant", content: first.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "21 degrees" }] },
    ];
    const second = await client.messages.create(asked("", { tools, messages }));
    told("21 degrees", second.content[0].text);
  },
  async count_tokens() {
    const { model, messages } = asked("count");
    const counted = await client.messages.countTokens({ model, messages });
    check(counted.input_tokens > 0, "no count");
  },
  async models() {
    const listed = [];
    for await (const model of client.models.list()) listed.push(model.id);
    check(listed.length > 0, "no models");
  },
  async cancel() {
    const stream = await client.messages.create(asked("cancel", { stream: true }));
    let seen = 0;
    for await (const _event of stream) if (++seen === 5) break;
    stream.controller.abort();
  },
});
