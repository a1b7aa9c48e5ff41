// Brings a database to this version's schema: an empty one, an older one, or one of the replaced system with rows in it.
// Any number of processes may call it at once, again and again: one at a time does the work, in one transaction.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as runMigrations } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { connection, type Db } from "./connect.ts";

const migrationsFolder = fileURLToPath(new URL("../migrations", import.meta.url));
// Two int4 keys: a space of its own beside the int8 locks of data.post_credit. "draw" and "migr" in ASCII.
const lockKeys = [0x64726177, 0x6d696772];
const oldestServer = 150_000;

export type MigrateOptions = { onProgress?: (line: string) => void };

/**
 * Throws when the server is older than 15, cannot be reached, or a migration fails; then nothing of it was changed.
 * The lock belongs to the session: a process that dies while it migrates leaves nothing behind.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<void> {
  const onProgress = options.onProgress ?? (() => {});
  const client = new pg.Client({ ...connection, connectionString: url, application_name: "drawdown migrate" });
  client.on("error", () => {}); // the query that runs gets it too
  client.on("notice", (notice) => {
    if (notice.message?.startsWith("drawdown: ")) onProgress(notice.message.slice("drawdown: ".length));
  });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: number; locked: boolean }>(
      "SELECT current_setting('server_version_num')::int AS version, pg_try_advisory_lock($1, $2) AS locked",
      lockKeys,
    );
    const [server] = rows;
    if (server === undefined || server.version < oldestServer) {
      throw new Error(`Postgres 15 or newer is needed, this server is ${server?.version}`);
    }
    if (!server.locked) {
      onProgress("another process is migrating: waiting for it");
      await client.query("SELECT pg_advisory_lock($1, $2)", lockKeys);
    }
    await runMigrations(drizzle(client), {
      migrationsFolder,
      // Its own table: the business system may keep a Drizzle journal in the same database, with later dates than ours.
      migrationsSchema: "data",
      migrationsTable: "drawdown_migration",
    });
  } catch (error) {
    // Drizzle's message is the whole SQL; the server's is what helps.
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Error(`migration failed: ${reason instanceof Error ? reason.message : String(reason)}`, {
      cause: reason,
    });
  } finally {
    await client.end().catch(() => {});
  }
}

/** Whether the database has every migration of this version; one that a newer version has brought further has. Throws what Postgres says. */
export async function isMigrated(db: Db): Promise<boolean> {
  const journal = JSON.parse(await readFile(join(migrationsFolder, "meta/_journal.json"), "utf8")) as {
    entries: { when: number }[];
  };
  const known = await db.$client.query(
    "SELECT FROM pg_tables WHERE schemaname = 'data' AND tablename = 'drawdown_migration'",
  );
  if (known.rowCount === 0) return false;
  const sql = "SELECT coalesce(max(created_at), 0) >= $1 AS migrated FROM data.drawdown_migration";
  const { rows } = await db.$client.query<{ migrated: boolean }>(sql, [journal.entries.at(-1)?.when ?? 0]);
  return rows[0]?.migrated === true;
}
