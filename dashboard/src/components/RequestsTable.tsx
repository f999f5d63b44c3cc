import type { RequestRow } from "../api/client";
import { count, dollars, duration } from "../format";

const HEAD = [
  "Time",
  "Path",
  "Model",
  "Account",
  "Status",
  "Tries",
  "Tokens in / out",
  "Cost",
  "First byte",
  "Total",
];

function status(row: RequestRow): { text: string; color: string } {
  if (row.ending !== "complete") {
    return { text: `${row.status || "–"} ${row.ending.replace("_", " ")}`, color: "text-warn" };
  }
  return { text: String(row.status), color: row.status < 400 ? "text-good" : "text-bad" };
}

function Row({ row }: { row: RequestRow }) {
  const received = Date.parse(row.receivedAt);
  const firstByte = row.firstByteAt ? duration(Date.parse(row.firstByteAt) - received) : "–";
  const { text, color } = status(row);
  return (
    <tr className="border-t border-line" title={row.error || undefined}>
      <td className="px-3 py-1.5 tabular-nums">{new Date(received).toLocaleTimeString()}</td>
      <td className="px-3 py-1.5 font-mono text-xs">{row.path}</td>
      <td className="px-3 py-1.5">{row.modelAsked || "–"}</td>
      <td className="px-3 py-1.5">{row.account || "–"}</td>
      <td className={`px-3 py-1.5 ${color}`}>{text}</td>
      <td className="px-3 py-1.5 tabular-nums">{row.attempts.length}</td>
      <td className="px-3 py-1.5 tabular-nums">
        {count(row.inputTokens + row.cacheReadTokens + row.cacheWrite5mTokens + row.cacheWrite1hTokens)} /{" "}
        {count(row.outputTokens + row.reasoningTokens)}
      </td>
      <td className="px-3 py-1.5 tabular-nums">{dollars(row.costUsd)}</td>
      <td className="px-3 py-1.5 tabular-nums">{firstByte}</td>
      <td className="px-3 py-1.5 tabular-nums">{duration(Date.parse(row.finishedAt) - received)}</td>
    </tr>
  );
}

/** The newest requests, newest first. */
export function RequestsTable({ rows }: { rows: RequestRow[] }) {
  if (rows.length === 0) {
    return (
      <p className="p-4 text-muted">No requests yet. Point a client at the proxy and they appear here.</p>
    );
  }
  return (
    <div className="max-h-[28rem] overflow-auto">
      <table className="w-full text-left text-sm whitespace-nowrap">
        <thead className="sticky top-0 bg-panel text-xs text-muted">
          <tr>
            {HEAD.map((title) => (
              <th key={title} scope="col" className="px-3 py-2 font-medium">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row key={row.id} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
