// The same as workload.py, with the SDKs for Node: workload.mjs anthropic|openai

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { hostname } from "node:os";

const requestId = "x-penstock-request-id";
const { PAUSE_MS = "100", COUNT = "0", KEY_FILE } = process.env;
// The SDKs are in the image's own directory, not beside this file.
const load = createRequire(`${process.cwd()}/`);
const key = () => (KEY_FILE ? { apiKey: readFileSync(KEY_FILE, "utf8").trim() } : {});
// By the header the provider's journal knows who asked.
const settings = { maxRetries: 0, timeout: 120_000, defaultHeaders: { "x-workload": hostname() } };

function check(holds, what) {
  if (!holds) throw new Error(what);
}

function anthropic() {
  const client = new (load("@anthropic-ai/sdk").default)({ ...settings, ...key() });
  const asked = (content) => ({ model: "claude-sonnet-5", max_tokens: 1024, messages: [{ role: "user", content }] });
  return {
    client,
    async whole(prompt, line) {
      const { data, response } = await client.messages.create(asked(prompt)).withResponse();
      line.id = response.headers.get(requestId);
      return data.content[0].text;
    },
    async stream(prompt, line) {
      const { data, response } = await client.messages.create({ ...asked(prompt), stream: true }).withResponse();
      line.id = response.headers.get(requestId);
      let text = "";
      let stopped;
      for await (const event of data) {
        if (event.type === "content_block_delta") text += event.delta.text ?? "";
        if (event.type === "message_delta") stopped = event.delta.stop_reason;
      }
      check(stopped === "end_turn", `stop reason ${stopped}`);
      return text;
    },
  };
}

function openai() {
  const client = new (load("openai").default)({ ...settings, ...key() });
  const asked = (content) => ({ model: "gpt-5", messages: [{ role: "user", content }] });
  return {
    client,
    async whole(prompt, line) {
      const { data, response } = await client.chat.completions.create(asked(prompt)).withResponse();
      line.id = response.headers.get(requestId);
      return data.choices[0].message.content;
    },
    async stream(prompt, line) {
      const { data, response } = await client.chat.completions
        .create({ ...asked(prompt), stream: true })
        .withResponse();
      line.id = response.headers.get(requestId);
      let text = "";
      let finished;
      for await (const { choices } of data) {
        text += choices[0]?.delta.content ?? "";
        finished = choices[0]?.finish_reason ?? finished;
      }
      check(finished === "stop", "the stream has no end");
      return text;
    },
  };
}

async function request(n, { client, whole, stream }) {
  Object.assign(client, key());
  const prompt = `${hostname()} ${n}`;
  const line = { n, ok: true, id: null };
  const began = performance.now();
  try {
    const text = await (n % 2 ? stream : whole)(prompt, line);
    check(text.startsWith(`You said: ${prompt}.`) && text.endsWith("That is all."), `answered ${text.slice(0, 100)}`);
  } catch (error) {
    // Whatever it is, it is what a user would have seen.
    const cause = error.cause ? ` from ${error.cause} ${error.cause.cause ?? ""}` : "";
    Object.assign(line, { ok: false, error: `${error.name}: ${error.message}${cause}`, at: Date.now() / 1000 });
    line.id ??= error.headers?.get?.(requestId) ?? null;
  }
  console.log(JSON.stringify({ ...line, ms: Math.round(performance.now() - began) }));
  return line.ok;
}

let wake = () => {};
let stopped = false;
process.on("SIGTERM", () => {
  stopped = true;
  wake();
});

const calls = { anthropic, openai }[process.argv[2]]();
const done = { ok: 0, failed: 0 };
for (let n = 0; !stopped && (COUNT === "0" || n < Number(COUNT)); n++) {
  done[(await request(n, calls)) ? "ok" : "failed"]++;
  if (stopped) break;
  await new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, Number(PAUSE_MS));
  });
}
console.log(JSON.stringify({ summary: done }));
process.exit(done.failed ? 1 : 0);
