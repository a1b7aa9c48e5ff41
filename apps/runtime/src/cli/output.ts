/** Standard output is for the answer alone. */
import { writeSync } from "node:fs";

/** Writes the whole text before the process may end: a pipe's write would otherwise be cut off by an exit. */
export function print(text: string): void {
  const bytes = Buffer.from(text.endsWith("\n") ? text : `${text}\n`);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
    }
  }
}

/** One JSON document, amounts and 64-bit numbers as decimal strings. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, (_, field) => (typeof field === "bigint" ? field.toString() : field), 2));
}

/** Two columns, the left one as wide as its widest text. */
export function printPairs(pairs: readonly (readonly [string, string])[]): void {
  const width = Math.max(...pairs.map(([name]) => name.length));
  print(pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n"));
}

/** Columns as wide as their widest text; the first row is their names. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? "").length)));
  const line = (cells: readonly string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  print(rows.map((cells) => line(cells).trimEnd()).join("\n"));
}

/** A length of time for people: `12.3 s`, `4.5 min`, `6.7 h`. */
export function duration(ms: number): string {
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}
