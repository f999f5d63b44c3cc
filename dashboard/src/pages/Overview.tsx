import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { type Account, api } from "../api/client";
import { useLiveRequests } from "../api/live";
import { AccountCard } from "../components/AccountCard";
import { Panel, Tile } from "../components/Panel";
import { RequestsTable } from "../components/RequestsTable";
import { TrafficChart } from "../components/TrafficChart";
import { count, dollars, duration } from "../format";

/** The time, moving on once a second, for countdowns. */
function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Traffic of the last hour, the health of every account, and the requests as they end. */
export function Overview({ accounts }: { accounts: Account[] | undefined }) {
  const now = useNow();
  const analytics = useQuery({ queryKey: ["analytics", "1h"], queryFn: () => api.analytics("1h") });
  const { rows, connected } = useLiveRequests();
  const totals = analytics.data?.totals;
  const usable = accounts?.filter((account) => account.state === "Available").length ?? 0;
  return (
    <div className="flex flex-col gap-6">
      <div className="grid grid-cols-2 gap-3 md:grid-cols-5">
        <Tile name="Requests, last hour" value={totals ? count(totals.requests) : "…"} />
        <Tile name="Successful" value={totals ? `${totals.successRate.toFixed(1)} %` : "…"} />
        <Tile name="Average time" value={totals ? duration(totals.avgResponseTime) : "…"} />
        <Tile name="Tokens" value={totals ? count(totals.tokens) : "…"} />
        <Tile name="Cost" value={totals ? dollars(totals.costUsd) : "…"} />
      </div>
      <Panel title="Traffic" aside="requests per minute, last hour">
        <div className="p-3">
          <TrafficChart points={analytics.data?.timeSeries ?? []} />
        </div>
      </Panel>
      <Panel title="Accounts" aside={accounts ? `${usable} of ${accounts.length} available` : "…"}>
        {accounts?.length === 0 && (
          <p className="p-4 text-muted">
            No accounts yet. Add one with <code>penstock accounts add</code>, or put a ProviderAccount into
            the configuration folder.
          </p>
        )}
        <div className="grid gap-3 p-4 md:grid-cols-2 lg:grid-cols-3">
          {accounts?.map((account) => (
            <AccountCard key={account.id} account={account} now={now} />
          ))}
        </div>
      </Panel>
      <Panel title="Requests" aside={connected ? "live" : "connecting…"}>
        <RequestsTable rows={rows} />
      </Panel>
    </div>
  );
}
