import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Account, api } from "../api/client";
import { count, countdown } from "../format";
import { WindowBar } from "./WindowBar";

const COLOR: Record<string, string> = {
  Available: "text-good",
  Limited: "text-warn",
  Overloaded: "text-warn",
  Paused: "text-muted",
};

/** One account: its state, why, its windows, and a switch to set it aside. */
export function AccountCard({ account, now }: { account: Account; now: number }) {
  const queries = useQueryClient();
  const toggle = useMutation({
    mutationFn: () => (account.paused ? api.resume(account.id) : api.pause(account.id)),
    onSettled: () => queries.invalidateQueries({ queryKey: ["accounts"] }),
  });
  const back = countdown(account.limitedUntil, now);
  return (
    <article
      aria-label={`Account ${account.id}`}
      className="flex flex-col gap-3 rounded-lg border border-line p-4"
    >
      <div className="flex items-start justify-between gap-2">
        <div>
          <h3 className="font-medium">{account.name}</h3>
          <p className="text-xs text-muted">
            {account.provider} · priority {account.priority} · {count(account.requestCount)} requests
          </p>
        </div>
        <button
          type="button"
          disabled={toggle.isPending}
          onClick={() => toggle.mutate()}
          className="rounded border border-line px-2 py-1 text-xs hover:bg-track disabled:opacity-50"
        >
          {account.paused ? "Resume" : "Pause"}
        </button>
      </div>
      <p
        className={`text-sm font-medium ${COLOR[account.state] ?? "text-bad"}`}
        title={account.message ?? undefined}
      >
        <span aria-hidden="true">● </span>
        {account.state}
        {account.state !== "Available" && account.reason && (
          <span className="font-normal text-muted"> · {account.reason}</span>
        )}
        {back && <span className="font-normal text-muted"> · back in {back}</span>}
      </p>
      {account.windows.map((window) => (
        <WindowBar key={window.name} window={window} now={now} />
      ))}
      {toggle.error && (
        <p role="alert" className="text-xs text-bad">
          {toggle.error.message}
        </p>
      )}
    </article>
  );
}
