/** `drawdown migrate`: our schema, and the queue's beside it, so that an act can be queued before the first worker has started. */
import { closeDb, connectDb, migrate } from "@drawdown/db";
import { Logger, runMigrations } from "graphile-worker";
import { readConfig } from "../config.ts";
import { print, printJson } from "./output.ts";

export async function migrateCommand(options: { json: boolean }): Promise<void> {
  const { databaseUrl } = readConfig(["database"]);
  const lines: string[] = [];
  await migrate(databaseUrl, {
    onProgress: (line) => {
      lines.push(line);
      process.stderr.write(`${line}\n`);
    },
  });
  await migrateQueue(databaseUrl);
  if (options.json) printJson({ migrated: true, progress: lines });
  else print("The database has the present schema.");
}

/** Safe from several processes at once, as ours is: whoever comes second finds the migration done. */
async function migrateQueue(databaseUrl: string): Promise<void> {
  const db = connectDb(databaseUrl, { max: 2, applicationName: "drawdown migrate" });
  try {
    // Its own log would go to standard output.
    await runMigrations({ pgPool: db.$client, logger: new Logger(() => () => undefined) });
  } finally {
    await closeDb(db);
  }
}
