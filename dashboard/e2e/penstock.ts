/** Starts the real programs with the demo, and the real browser, for the tests of this folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** Nothing that phones home: tests run without a network. */
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A running `penstock up --demo` on free ports. */
export interface Running {
  /** One-time link that logs a browser in. */
  dashboard: string;
  /** Base URL of the workload listener. */
  clients: string;
  stop(): Promise<void>;
}

function program(): string {
  const target = process.env.CARGO_TARGET_DIR ?? resolve(import.meta.dirname, "../../target");
  const path = join(target, "debug/penstock");
  if (!existsSync(path)) throw new Error(`${path} is missing: build it with cargo build --workspace --bins`);
  return path;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((done) => child.once("exit", done));
  }
}

/** Starts it and waits until it has printed its addresses. */
export async function startDemo(): Promise<Running> {
  const penstock = program();
  const data = mkdtempSync(join(tmpdir(), "penstock-"));
  const any = "127.0.0.1:0";
  const listen = ["--proxy-listen", any, "--admin-listen", any, "--api-listen", any, "--grpc-listen", any];
  const folders = ["--data", join(data, "data"), "--config", join(data, "config")];
  const child = spawn(penstock, ["up", "--demo", ...folders, ...listen], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await ended(child);
    rmSync(data, { recursive: true, force: true });
  };

  const said: string[] = [];
  child.stderr.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  const found: Partial<Running> = {};
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(`${line}\n`);
    found.clients ??= /clients\s+(http:\S+)/.exec(line)?.[1] as string;
    found.dashboard ??= /dashboard\s+(http:\S+)/.exec(line)?.[1] as string;
    if (found.clients && found.dashboard) {
      child.stdout.resume();
      return { clients: found.clients, dashboard: found.dashboard, stop };
    }
  }
  await stop();
  throw new Error(`penstock up ended before it was ready:\n${said.join("")}`);
}

/** A headless browser. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = CHROMIUM.find((path) => existsSync(path));
  if (!executablePath) throw new Error("Chromium is not installed (Debian: apt-get install chromium)");
  return chromium.launch({ executablePath, headless: true, args: QUIET });
}
