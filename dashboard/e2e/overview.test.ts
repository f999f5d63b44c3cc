import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Running, startBrowser, startDemo } from "./penstock";

describe("the dashboard in a browser, on the demo", () => {
  let penstock: Running;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    [penstock, browser] = await Promise.all([startDemo(), startBrowser()]);
    page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await page.goto(penstock.dashboard);
  });

  afterAll(async () => {
    await browser?.close();
    await penstock?.stop();
  });

  it("shows every account with its state and a window bar", async () => {
    await page.getByRole("article", { name: "Account default/claude-team-1" }).waitFor();
    expect(await page.getByRole("article").count()).toBe(5);
    await page.getByRole("progressbar").first().waitFor();
    if (process.env.PENSTOCK_SCREENSHOT) await page.screenshot({ path: process.env.PENSTOCK_SCREENSHOT });
  });

  it("shows requests as they end, without a reload", async () => {
    const rows = page.getByRole("table").locator("tbody tr");
    await rows.first().waitFor();
    const marker = `gpt-5-marker-${Date.now()}`;
    await fetch(`${penstock.clients}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: marker, messages: [{ role: "user", content: "hi" }] }),
    });
    await page.getByRole("cell", { name: marker }).first().waitFor();
  });

  it("pauses an account and takes it back", async () => {
    const card = page.getByRole("article", { name: "Account default/claude-reserve" });
    await card.getByRole("button", { name: "Pause" }).click();
    await card.getByText("Paused").waitFor();
    await card.getByRole("button", { name: "Resume" }).click();
    await card.getByText("Available").waitFor();
  });

  it("asks a browser without a session for the token, and a link works once", async () => {
    const stranger = await browser.newContext();
    const other = await stranger.newPage();
    await other.goto(penstock.dashboard);
    await other.getByLabel("Token").fill("wrong");
    await other.getByRole("button", { name: "Log in" }).click();
    await other.getByRole("alert").waitFor();
    await stranger.close();
  });

  it("has nothing to complain about", () => {
    expect(problems).toEqual([]);
  });
});
