import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { is } from "drizzle-orm";
import { getTableConfig, getViewConfig, type PgColumn, PgTable, PgView } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import journal from "../migrations/meta/_journal.json" with { type: "json" };
import { schema } from "../src/index.ts";
import { type Books, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

const exported: unknown[] = Object.values(schema);
const tables = exported.filter((value) => is(value, PgTable)).map(getTableConfig);
const views = exported.filter((value) => is(value, PgView)).map(getViewConfig);

type Column = { name: string; type: string; required: boolean };
const sqlType = (column: PgColumn) =>
  column
    .getSQLType()
    .replaceAll(", ", ",")
    .replace(/^time$/, "time without time zone");

async function columnsOf(relation: string): Promise<Column[]> {
  return books.rows<Column>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname`,
    [`data.${relation}`],
  );
}

const byName = <T extends { name: string }>(items: T[]) => items.toSorted((a, b) => (a.name < b.name ? -1 : 1));

describe("Rule: the schema in TypeScript and the migrated database are the same", () => {
  test("every table of schema data is in the schema, and the other way round", async () => {
    const rows = await books.rows<{ name: string; kind: string }>(
      `SELECT relname AS name, relkind AS kind FROM pg_class WHERE relnamespace = 'data'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')
       AND relname <> 'drawdown_migration' ORDER BY relname`,
    );
    const wanted = byName([
      ...tables.map(({ name }) => ({ name, kind: "r" })),
      ...views.map(({ name }) => ({ name, kind: "v" })),
    ]);
    expect(rows).toEqual(wanted);
    expect(tables.length).toBeGreaterThanOrEqual(14);
  });

  test.each(tables)("table $name: columns, types, nullability", async ({ name, columns }) => {
    const wanted = columns.map((column) => ({
      name: column.name,
      type: sqlType(column),
      required: column.notNull || column.primary,
    }));
    expect(await columnsOf(name)).toEqual(byName(wanted));
  });

  test.each(tables)("table $name: constraints and indexes", async (table) => {
    const rows = await books.rows<{ name: string }>(
      `SELECT conname AS name FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('c', 'u', 'f')
       UNION SELECT c.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
             WHERE x.indrelid = $1::regclass AND NOT x.indisprimary ORDER BY 1`,
      [`data.${table.name}`],
    );
    const wanted = [
      ...table.checks.map((check) => check.name),
      ...table.uniqueConstraints.map((unique) => unique.name ?? ""),
      ...table.foreignKeys.map((key) => key.getName()),
      ...table.indexes.map((index) => index.config.name ?? ""),
    ];
    expect(rows.map((row) => row.name)).toEqual(wanted.toSorted());
  });

  test.each(views)("view $name: columns and types", async ({ name, selectedFields }) => {
    const wanted = Object.values(selectedFields).map((field) => ({
      name: (field as PgColumn).name,
      type: sqlType(field as PgColumn),
    }));
    const found = (await columnsOf(name)).map((column) => ({ name: column.name, type: column.type }));
    expect(found).toEqual(byName(wanted));
  });

  test("the last snapshot of the migrations is the schema: nothing is left to generate", async () => {
    const last = String(journal.entries.length - 1).padStart(4, "0");
    const { default: snapshot } = (await import(`../migrations/meta/${last}_snapshot.json`, {
      with: { type: "json" },
    })) as { default: Parameters<typeof generateMigration>[0] };
    expect(await generateMigration(snapshot, generateDrizzleJson(schema))).toEqual([]);
  });

  test("every constraint that can refuse a settled row is named by us", async () => {
    const rows = await books.rows(
      `SELECT conname FROM pg_constraint WHERE connamespace = 'data'::regnamespace AND contype = 'c' AND NOT convalidated
       UNION SELECT conname FROM pg_constraint WHERE connamespace = 'data'::regnamespace AND contype = 'c' AND conname !~ '_check$'`,
    );
    expect(rows).toEqual([]);
  });
});
