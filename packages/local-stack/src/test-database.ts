import { randomBytes } from "node:crypto";
import { currentTestRun } from "./config.ts";
import { databaseUrl, onServer } from "./test-run.ts";
import { waitFor } from "./wait-for.ts";

export type TestDatabase = {
  url: string;
  /** Removes it, cutting connections that are still open; harmless twice. */
  drop(): Promise<void>;
};

const BEING_ACCESSED = "55006";

/**
 * A migrated database of the caller's own, cloned from the template of this test run. Throws outside a test run, that
 * is outside a `*.live.test.ts` or `*.sim.test.ts` file under vitest.
 */
export async function testDatabase(): Promise<TestDatabase> {
  const run = currentTestRun();
  if (run === undefined) throw new Error("testDatabase() works in *.live.test.ts and *.sim.test.ts files only.");
  const name = `${run.databasePrefix}${randomBytes(6).toString("hex")}`;
  await onServer(run.serverUrl, (client) =>
    // Another file that clones at the same moment, or autovacuum in the template, is over in an instant.
    waitFor(
      () =>
        client.query(`CREATE DATABASE ${name} TEMPLATE ${run.template}`).catch((error: { code?: string }) => {
          if (error.code === BEING_ACCESSED) return undefined;
          throw error;
        }),
      { timeoutMs: 30_000, what: "a clone of the template database" },
    ),
  );
  return {
    url: databaseUrl(run.serverUrl, name),
    drop: () =>
      onServer(run.serverUrl, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }),
  };
}
