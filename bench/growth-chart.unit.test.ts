import { expect, test } from "vitest";
import { type Chart, draw, table } from "./growth-chart.ts";

const chart: Chart = {
  name: "things",
  grows: "things",
  points: [1_000, 1_000_000],
  lines: [
    { name: "charges/s", values: [30_000, 27_000] },
    { name: "p99, ms", values: [10, 25] },
  ],
  busy: [
    { Redis: 0.9, idle: 0.01 },
    { Redis: 0.8, idle: 0.02 },
  ],
};

test("Growth: a figure stands beside what it is of the first point's, and who was busy beside both", () => {
  expect(table(chart).split("\n")).toEqual([
    "| things | charges/s | p99, ms | Redis, cores | together |",
    "| --- | --- | --- | --- | --- |",
    "| 1,000 | 30,000 | 10 | 0.90 | 0.91 |",
    "| 1,000,000 | 27,000 (0.90) | 25 (2.50) | 0.80 | 0.82 |",
  ]);
});

test("Growth: a chart draws each line relative to its first point, and reads on a dark page too", () => {
  const picture = draw(chart);
  // The marks go up to 3 times, over 150 pixels from 30 on.
  expect(picture).toContain('d="M44.0 130.0L374.0 135.0"');
  expect(picture).toContain('d="M44.0 130.0L374.0 55.0"');
  expect(picture).toContain("p99 2.50×");
  expect(picture).toContain("prefers-color-scheme: dark");
});
