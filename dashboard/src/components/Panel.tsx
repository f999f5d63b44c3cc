import type { ReactNode } from "react";

/** A titled box. */
export function Panel({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="rounded-lg border border-line bg-panel" aria-label={title}>
      <div className="flex items-baseline justify-between gap-4 border-b border-line px-4 py-2.5">
        <h2 className="font-semibold">{title}</h2>
        <div className="text-xs text-muted">{aside}</div>
      </div>
      {children}
    </section>
  );
}

/** One number with its name. */
export function Tile({ name, value, note }: { name: string; value: string; note?: string }) {
  return (
    <div className="rounded-lg border border-line bg-panel px-4 py-3">
      <div className="text-xs text-muted">{name}</div>
      <div className="mt-1 text-2xl font-semibold tabular-nums">{value}</div>
      {note && <div className="mt-0.5 text-xs text-muted">{note}</div>}
    </div>
  );
}
