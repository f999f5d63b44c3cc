import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, type RequestRow } from "./client";

/** Rows kept on the page; older ones are in the history. */
const KEPT = 50;

/** Puts a row in front unless it is there already; rows beyond the limit fall off the end. */
export function prepend(rows: RequestRow[], row: RequestRow): RequestRow[] {
  return rows.some((held) => held.id === row.id) ? rows : [row, ...rows].slice(0, KEPT);
}

/** The newest requests: those of the history, then each one as it ends. */
export function useLiveRequests(): { rows: RequestRow[]; connected: boolean } {
  const history = useQuery({
    queryKey: ["requests"],
    queryFn: () => api.requests(KEPT),
    refetchInterval: false,
  });
  const [live, setLive] = useState<RequestRow[]>([]);
  const [connected, setConnected] = useState(false);

  useEffect(() => {
    const source = new EventSource("/api/requests/stream");
    source.onopen = () => setConnected(true);
    source.onerror = () => setConnected(false); // the browser connects again by itself
    source.onmessage = (message) => {
      const said = JSON.parse(message.data) as { type: string; payload?: RequestRow };
      if (said.type === "summary" && said.payload) {
        const row = said.payload;
        setLive((rows) => prepend(rows, row));
      }
    };
    return () => source.close();
  }, []);

  const known = new Set(live.map((row) => row.id));
  const older = (history.data?.requests ?? []).filter((row) => !known.has(row.id));
  return { rows: [...live, ...older].slice(0, KEPT), connected };
}
