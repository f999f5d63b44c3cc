// What the drivers in Node share: their settings, and the one line of JSON they print.

export const baseURL = process.env.CLIENT_BASE_URL;
export const apiKey = process.env.CLIENT_API_KEY;
// A test that hangs must fail, and slow machines must not.
export const timeout = 60_000;
export const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

export function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

/** The whole answer to this prompt, and to no other. */
export function said(prompt, text) {
  check(text.startsWith(`You said: ${prompt}.`), `begins ${text.slice(0, 60)}`);
  check(text.endsWith("That is all."), `ends ${text.slice(-40)}`);
}

/** The whole answer after a tool returned this result. */
export function told(result, text) {
  check(text.startsWith(`The tool said: ${result}.`), `begins ${text.slice(0, 60)}`);
  check(text.endsWith("That is all."), `ends ${text.slice(-40)}`);
}

/** Runs the operations named on the command line and prints how each went. */
export async function main(client, operations) {
  const results = {};
  for (const name of process.argv.slice(2)) {
    try {
      await operations[name]();
      results[name] = { ok: true };
    } catch (error) {
      results[name] = {
        ok: false,
        error: `${error.constructor.name}: ${String(error.message).slice(0, 300)}`,
        kind: error.constructor.name,
        status: error.status ?? null,
        retryAfter: error.headers?.get?.("retry-after") ?? null,
      };
    }
  }
  console.log(JSON.stringify({ client, operations: results }));
}
