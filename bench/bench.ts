/**
 * `npm run bench`: everything that section 9 of the design promises, side by side with its opponents on private servers. `--only <row>`
 * (as often as wanted) measures some rows, `--json` prints them as data. Exits 1 when a target is missed, 2 when a row has no such name.
 * With `--growth` it draws how all of it grows instead (growth.ts), which has no targets.
 */
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { accounts } from "./accounts.ts";
import { charges } from "./charge.ts";
import { gateway } from "./gateway.ts";
import { growthParts, growthTables, measureGrowth } from "./growth.ts";
import { lists } from "./lists.ts";
import type { Family, Row } from "./rows.ts";
import { settling } from "./settle.ts";
import { DURABILITY } from "./stack.ts";

/** In the order in which they are measured and printed. */
const families: readonly Family[] = [charges, settling, accounts, gateway, lists];

async function measureAll(wanted: ReadonlySet<string>): Promise<Row[]> {
  const rows: Row[] = [];
  for (const family of families) {
    const names = family.rows.filter((row) => wanted.size === 0 || wanted.has(row));
    if (names.length === 0) continue;
    process.stderr.write(`measuring ${names.join(", ")}\n`);
    rows.push(...(await family.measure(new Set(names))));
  }
  return rows;
}

function table(rows: readonly Row[]): string {
  const said = (met: boolean | null) => (met === null ? "" : met ? "met" : "missed");
  const lines = rows.map(({ row, value, target, met, against }) => [
    row,
    value.toFixed(2),
    target ?? "",
    said(met),
    against,
  ]);
  const cells = [["figure", "value", "target", "", "against"], ...lines];
  const width = (column: number) => Math.max(...cells.map((line) => line[column]?.length ?? 0));
  const widths = [0, 1, 2, 3].map(width);
  const pad = (cell: string, i: number) => (i === 1 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0));
  return cells.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    growth: { type: "boolean", default: false },
  },
});
const known = new Set(values.growth ? growthParts : families.flatMap(({ rows }) => rows));
const unknown = values.only.filter((row) => !known.has(row));
if (unknown.length > 0) {
  process.stderr.write(`no such row: ${unknown.join(", ")}; there are ${[...known].join(", ")}\n`);
  process.exit(2);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
const gigabytes = Math.round(totalmem() / 2 ** 30);
const machine = `${cpus().length} × ${cpus()[0]?.model}, ${gigabytes} GB, Node ${process.versions.node}, Redis with ${DURABILITY}`;
if (values.growth) {
  const growth = await measureGrowth(new Set(values.only));
  process.stdout.write(
    values.json ? `${JSON.stringify({ machine, growth }, null, 2)}\n` : `${machine}\n\n${growthTables(growth)}\n`,
  );
} else {
  const rows = await measureAll(new Set(values.only));
  process.stdout.write(
    values.json ? `${JSON.stringify({ machine, rows }, null, 2)}\n` : `${machine}\n\n${table(rows)}\n`,
  );
  process.exitCode = rows.some(({ met }) => met === false) ? 1 : 0;
}
