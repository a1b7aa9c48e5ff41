/** `drawdown migrate` */
import { migrate } from "@drawdown/db";
import { print, printJson } from "./cli-output.ts";
import { readConfig } from "./config.ts";

export async function migrateCommand(options: { json: boolean }): Promise<void> {
  const { databaseUrl } = readConfig(["database"]);
  const lines: string[] = [];
  await migrate(databaseUrl, {
    onProgress: (line) => {
      lines.push(line);
      process.stderr.write(`${line}\n`);
    },
  });
  if (options.json) printJson({ migrated: true, progress: lines });
  else print("The database has the present schema.");
}
