// The lists that can be taken away whole: each by its name, its columns, and its rows one by one, so that a million of
// them need no more memory than a page. Amounts and ids stay the text they are.
import type { Db } from "@drawdown/db";
import { stringify } from "csv-stringify/sync";
import type { Operator } from "@/server/session.ts";

export type ExportFormat = "csv" | "jsonl";

/** Column by column, in the file's order. */
export type ExportRow = Record<string, unknown>;

export type Export = {
  columns: readonly string[];
  /** `filters` are those of the list's address, `page` its order and window. Gives row by row until the end. */
  rows: (asked: {
    db: Db;
    operator: Operator;
    filters: Record<string, string>;
    page: { order: "newest" | "oldest"; pin?: string };
  }) => AsyncIterable<ExportRow>;
};

/** Rows are sent in pieces of so many. */
export const PIECE_ROWS = 500;

/** A page of rows as text of the format. */
export function render(format: ExportFormat, columns: readonly string[], rows: readonly ExportRow[]): string {
  const plain = rows.map((row) => Object.fromEntries(columns.map((column) => [column, plainOf(row[column])])));
  if (format === "jsonl") return plain.map((row) => `${JSON.stringify(row)}\n`).join("");
  return stringify(plain.map((row) => columns.map((column) => cellOf(row[column]))));
}

export function heading(format: ExportFormat, columns: readonly string[]): string {
  return format === "csv" ? stringify([[...columns]]) : "";
}

function plainOf(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return value.toISOString();
  return value ?? null;
}

function cellOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // What a spreadsheet would take for a formula is marked as text; a negative amount is a number and stays as it is.
  return /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text;
}
