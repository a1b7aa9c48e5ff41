// How something grows: what was measured at each point, as a table, and relative to the first point as a small chart.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Busy } from "./growth-busy.ts";

export type Line = { name: string; values: readonly number[] };

/** `grows`: what there is more and more of, so many at each point. Every line has a value for each point. */
export type Chart = {
  name: string;
  grows: string;
  points: readonly number[];
  lines: readonly Line[];
  busy: readonly Busy[];
};

const count = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const short = new Intl.NumberFormat("en", { notation: "compact" });
const ratio = (value: number) => (value >= 10 ? value.toFixed(0) : value.toFixed(2));

/** One row a point, in Markdown: each figure, what it is of the first point's, and the cores that were busy. */
export function table({ grows, points, lines, busy }: Chart): string {
  const names = [...new Set(busy.flatMap(Object.keys))].filter((name) =>
    busy.some((cores) => (cores[name] ?? 0) >= 0.05),
  );
  const head = [grows, ...lines.map(({ name }) => name), ...names.map((name) => `${name}, cores`), "together"];
  const rows = points.map((point, i) => {
    const figures = lines.map(({ values: [first = 0, ...rest] }) => {
      const value = [first, ...rest][i] ?? Number.NaN;
      return i === 0 ? count.format(value) : `${count.format(value)} (${ratio(value / first)})`;
    });
    const cores = names.map((name) => busy[i]?.[name] ?? 0);
    const together = Object.values(busy[i] ?? {}).reduce((sum, one) => sum + one, 0);
    return [count.format(point), ...figures, ...[...cores, together].map((value) => value.toFixed(2))];
  });
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const BOX = { left: 44, top: 30, width: 330, height: 150 };
const SIZE = { width: 560, height: 208 };

/** Readable on light and dark pages: a picture is told which of both it stands on. */
const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #4b5563 }
.title { font-weight: 600; fill: #111827 }
.grid { stroke: #d1d5db }
.first { stroke: #6b7280; stroke-dasharray: 4 3 }
path { fill: none; stroke-width: 2.5 }
.line0 { stroke: #1d4ed8 } circle.line0, text.line0 { fill: #1d4ed8; stroke: none }
.line1 { stroke: #b45309 } circle.line1, text.line1 { fill: #b45309; stroke: none }
.line2 { stroke: #15803d } circle.line2, text.line2 { fill: #15803d; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #9ca3af } .title { fill: #f3f4f6 } .grid { stroke: #374151 } .first { stroke: #9ca3af }
  .line0 { stroke: #93c5fd } circle.line0, text.line0 { fill: #93c5fd }
  .line1 { stroke: #fcd34d } circle.line1, text.line1 { fill: #fcd34d }
  .line2 { stroke: #86efac } circle.line2, text.line2 { fill: #86efac }
}`;

/** Lines relative to their first point, named where they end. */
export function draw({ name, grows, points, lines }: Chart): string {
  const ratios = lines.map(({ values }) => values.map((value) => value / (values[0] ?? Number.NaN)));
  const step = Math.max(...ratios.flat()) > 2.2 ? 1 : 0.5;
  const top = Math.max(1.5, Math.ceil((Math.max(...ratios.flat()) * 1.02) / step) * step);
  const x = (i: number) => BOX.left + (i * BOX.width) / (points.length - 1);
  const y = (value: number) => BOX.top + BOX.height * (1 - value / top);
  const marks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  const grid = marks.map(
    (mark) =>
      `<line class="${mark === 1 ? "first" : "grid"}" x1="${BOX.left}" x2="${BOX.left + BOX.width}" y1="${y(mark)}" y2="${y(mark)}"/>` +
      `<text x="${BOX.left - 8}" y="${y(mark) + 4}" text-anchor="end">${mark}×</text>`,
  );
  const below = points.map(
    (point, i) =>
      `<text x="${x(i)}" y="${BOX.top + BOX.height + 18}" text-anchor="middle">${short.format(point)}</text>`,
  );
  const ends = apart(ratios.map((line) => y(line.at(-1) ?? 1)));
  const curves = ratios.map((line, i) => {
    const path = line.map((value, at) => `${at === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const dots = line.map(
      (value, at) => `<circle class="line${i}" cx="${x(at)}" cy="${y(value).toFixed(1)}" r="3.5"/>`,
    );
    const label = `${lines[i]?.name.split(",")[0]} ${ratio(line.at(-1) ?? 1)}×`;
    const end = `<text class="line${i}" x="${x(points.length - 1) + 10}" y="${(ends[i] ?? 0) + 4}">${label}</text>`;
    return `<path class="line${i}" d="${path}"/>${dots.join("")}${end}`;
  });
  const title = `${grows}, relative to ${short.format(points[0] ?? 0)}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" width="${SIZE.width}" role="img" aria-label="${name}: ${title}">`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="${BOX.left}" y="16">${title}</text>`,
    ...[...grid, ...below, ...curves],
    "</svg>\n",
  ].join("\n");
}

/** Places for names that would stand upon each other, in their order from above. */
function apart(places: readonly number[]): number[] {
  const found = [...places];
  const order = places.map((_, i) => i).toSorted((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
  for (const [rank, i] of order.entries()) {
    const above = found[order[rank - 1] ?? -1];
    if (above !== undefined) found[i] = Math.max(found[i] ?? 0, above + 16);
  }
  return found;
}

/** Where the documents show it from. */
export function save(chart: Chart): void {
  writeFileSync(fileURLToPath(new URL(`../docs/performance/growth-${chart.name}.svg`, import.meta.url)), draw(chart));
}
