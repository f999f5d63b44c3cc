import type { AccountWindow } from "../api/client";
import { countdown, windowName } from "../format";

/** Percent above which a window is worth a look; the provider itself warns around there. */
const NEARLY_FULL = 80;

/** How full one limit window is, and when it starts anew. */
export function WindowBar({ window, now }: { window: AccountWindow; now: number }) {
  const percent = Math.max(0, window.utilization);
  const color =
    percent >= 100 || window.status === "rejected"
      ? "bg-bad"
      : percent >= NEARLY_FULL
        ? "bg-warn"
        : "bg-accent";
  const resets = countdown(window.resetsAt, now);
  return (
    <div className="text-xs">
      <div className="flex justify-between gap-2">
        <span className="text-muted">{windowName(window.name)}</span>
        <span className="tabular-nums">
          {Math.round(percent)} %{resets && <span className="text-muted"> · resets in {resets}</span>}
        </span>
      </div>
      <div
        role="progressbar"
        tabIndex={-1}
        aria-label={`${windowName(window.name)} window`}
        aria-valuenow={Math.round(percent)}
        aria-valuemin={0}
        aria-valuemax={100}
        className="mt-1 h-1.5 overflow-hidden rounded-full bg-track"
      >
        <div className={`h-full rounded-full ${color}`} style={{ width: `${Math.min(100, percent)}%` }} />
      </div>
    </div>
  );
}
