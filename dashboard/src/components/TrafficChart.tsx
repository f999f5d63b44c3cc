import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { AnalyticsPoint } from "../api/client";

const HEIGHT = 180;

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(width: number): uPlot.Options {
  const axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    cursor: { points: { size: 6 } },
    axes: [axis, { ...axis, size: 42 }],
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(5, max * 1.1)] } },
    series: [
      {},
      {
        label: "requests",
        stroke: color("--accent"),
        width: 2,
        fill: `${color("--accent")}22`,
        points: { show: false },
      },
      { label: "errors", stroke: color("--bad"), width: 2, points: { show: false } },
    ],
  };
}

/** The columns uPlot draws: seconds, requests, and those that failed. */
export function columns(points: AnalyticsPoint[]): uPlot.AlignedData {
  return [
    points.map((point) => point.ts / 1_000),
    points.map((point) => point.requests),
    points.map((point) => point.errors),
  ];
}

/** Requests and errors over time. */
export function TrafficChart({ points }: { points: AnalyticsPoint[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const drawn = new uPlot(options(element.clientWidth), [[], [], []], element);
    plot.current = drawn;
    const observer = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
    };
  }, []);

  useEffect(() => plot.current?.setData(columns(points)), [points]);

  return (
    <div ref={box} role="img" aria-label="Requests and errors over time" className="w-full overflow-hidden" />
  );
}
