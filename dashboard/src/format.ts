/** How numbers and times are written for people, in one place. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** 1234567 → "1.2M". */
export function count(n: number): string {
  if (n < 10_000) return String(n);
  if (n < 1_000_000) return `${(n / 1e3).toFixed(1)}k`;
  if (n < 1_000_000_000) return `${(n / 1e6).toFixed(1)}M`;
  return `${(n / 1e9).toFixed(1)}G`;
}

/** Dollars, with more digits where there is little. */
export function dollars(usd: number | null | undefined): string {
  if (usd === null || usd === undefined) return "–";
  return usd > 0 && usd < 1 ? `$${usd.toFixed(4)}` : `$${usd.toFixed(2)}`;
}

/** A length of time: "350 ms", "12.4 s", "3 m", "2 h 10 m", "4 d". */
export function duration(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} m`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / MINUTE)} m`;
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}

/** How long until an instant, or nothing when it has passed or is not known. */
export function countdown(at: string | null | undefined, now: number): string | null {
  if (!at) return null;
  const left = Date.parse(at) - now;
  return left > 0 ? duration(left) : null;
}

/** "five_hour" → "5 hours"; names we do not know stay as the provider writes them. */
export function windowName(name: string): string {
  const known: Record<string, string> = {
    five_hour: "5 hours",
    seven_day: "7 days",
    requests: "requests / min",
    tokens: "tokens / min",
    input_tokens: "input tokens / min",
    output_tokens: "output tokens / min",
  };
  return known[name] ?? name.replaceAll("_", " ");
}
