import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { waitFor } from "@drawdown/local-stack";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import journal from "../migrations/meta/_journal.json" with { type: "json" };
import { migrate } from "../src/index.ts";
import { type Books, openBooks } from "./books.ts";

const script = fileURLToPath(new URL("migrate-once.ts", import.meta.url));

let books: Books;
beforeEach(async () => {
  books = await openBooks();
  await books.rows("DROP SCHEMA data CASCADE"); // an empty database
});
afterEach(() => books.close());

const applied = () => books.rows("SELECT count(*) FROM data.drawdown_migration");
const all = [{ count: String(journal.entries.length) }];

describe("Rule: migrate is safe from several processes at once, and again", () => {
  test("4 processes and 4 callers of one process: each migration once", async () => {
    const processes = Array.from({ length: 4 }, () => promisify(execFile)(process.execPath, [script, books.url]));
    await Promise.all([...processes, ...Array.from({ length: 4 }, () => migrate(books.url))]);
    expect(await applied()).toEqual(all);
    await migrate(books.url);
    expect(await applied()).toEqual(all);
  });

  test("a second one says that it waits, and begins when the first is gone", async () => {
    const first = new pg.Client({ connectionString: books.url });
    await first.connect();
    await first.query("SELECT pg_advisory_lock(1685217655, 1835624306)");
    const lines: string[] = [];
    const second = migrate(books.url, { onProgress: (line) => lines.push(line) });
    await waitFor(() => lines.length > 0, { timeoutMs: 5_000, what: "the second to say that it waits" });
    expect(lines).toEqual(["another process is migrating: waiting for it"]);
    expect(await books.rows("SELECT to_regnamespace('data') AS data")).toEqual([{ data: null }]);
    await first.end();
    await second;
    expect(await applied()).toEqual(all);
  });

  test("a process killed while it migrates leaves nothing half done, and its lock is free", async () => {
    const inTheWay = new pg.Client({ connectionString: books.url });
    await inTheWay.connect();
    await inTheWay.query("BEGIN");
    await inTheWay.query("CREATE SCHEMA data"); // uncommitted: the process waits here, with the lock
    const child = spawn(process.execPath, [script, books.url]);
    await waitFor(
      async () =>
        (
          await books.rows(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'drawdown migrate' AND wait_event_type = 'Lock'",
          )
        ).length > 0,
      { timeoutMs: 10_000, what: "the process to be in its migration" },
    );
    child.kill("SIGKILL");
    await once(child, "exit");
    await inTheWay.query("ROLLBACK");
    await inTheWay.end();
    await migrate(books.url);
    expect(await applied()).toEqual(all);
  });
});

describe("Rule: a migration that fails changes nothing and says what Postgres said", () => {
  test("a table in the way that cannot be taken over", async () => {
    await books.rows("CREATE SCHEMA data");
    await books.rows("CREATE VIEW data.usage_log AS SELECT 1");
    await expect(migrate(books.url)).rejects.toThrow(
      "migration failed: cannot take over schema data: usage_log must be ordinary tables",
    );
    expect(
      await books.rows("SELECT relname FROM pg_class WHERE relnamespace = 'data'::regnamespace AND relkind = 'r'"),
    ).toEqual([{ relname: "drawdown_migration" }]);
  });

  test("a database that is not there", async () => {
    await expect(migrate(`${books.url}_gone`)).rejects.toThrow("does not exist");
  });
});

describe("Rule: another application's Drizzle journal in the same database is not ours", () => {
  test("a later migration in drizzle.__drizzle_migrations does not skip ours", async () => {
    await books.rows("CREATE SCHEMA drizzle");
    await books.rows("CREATE TABLE drizzle.__drizzle_migrations (id serial, hash text, created_at bigint)");
    await books.rows("INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('x', 9999999999999)");
    await migrate(books.url);
    expect(await applied()).toEqual(all);
  });
});
