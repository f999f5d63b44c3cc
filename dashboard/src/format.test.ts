import { describe, expect, it } from "vitest";
import type { RequestRow } from "./api/client";
import { prepend } from "./api/live";
import { count, countdown, dollars, duration, windowName } from "./format";

describe("numbers for people", () => {
  it("shortens large counts", () => {
    expect([count(9_999), count(12_345), count(1_234_567)]).toEqual(["9999", "12.3k", "1.2M"]);
  });

  it("shows cents of cents where there is little, and a dash where nothing is known", () => {
    expect([dollars(0.00123), dollars(12.3), dollars(0), dollars(null)]).toEqual([
      "$0.0012",
      "$12.30",
      "$0.00",
      "–",
    ]);
  });

  it("counts down to a reset and says nothing once it has passed", () => {
    const now = Date.parse("2026-11-21T10:00:00Z");
    expect(countdown("2026-11-21T12:10:00Z", now)).toBe("2 h 10 m");
    expect(countdown("2026-11-21T09:00:00Z", now)).toBeNull();
    expect(countdown(null, now)).toBeNull();
    expect(duration(350)).toBe("350 ms");
  });

  it("keeps window names it does not know", () => {
    expect([windowName("five_hour"), windowName("seven_day_oi")]).toEqual(["5 hours", "seven day oi"]);
  });
});

describe("live requests", () => {
  const row = (id: string) => ({ id }) as RequestRow;

  it("shows a request once, however often it is announced", () => {
    const once = prepend([], row("a"));
    expect(prepend(once, row("a"))).toBe(once);
    expect(prepend(once, row("b")).map((held) => held.id)).toEqual(["b", "a"]);
  });
});
