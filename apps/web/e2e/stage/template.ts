// A Postgres that is migrated and seeded, made once for a run of the browser tests: each worker copies its folder, which takes a tenth of
// a second where migrations and prices take several.
import { cp, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { startPostgres, testFolder } from "@drawdown/local-stack";
import { announcedTemplate } from "./config.ts";
import { runDrawdown } from "./parts.ts";

export type Role = "viewer" | "support" | "admin";

export type Key = {
  api_key: string;
  virtual_key: string;
  account_balance_id: string;
  owner_id: string;
  account_type: "user" | "tenant";
};

/** What `drawdown seed --json` prints. */
export type Seeded = { keys: Key[]; operators: { email: string; password: string; role: Role }[] };

/** These data need not survive a power cut. */
const settings = { fsync: "off", full_page_writes: "off" };

/** Starts Postgres in the folder. Its data survive crashes of it. */
export function openPostgres(dir: string, port?: number) {
  return startPostgres({ dir, settings, ...(port === undefined ? {} : { port }) });
}

/** Makes the template and returns its folder. */
export async function makeTemplate(): Promise<string> {
  const dir = await testFolder("postgres");
  const postgres = await openPostgres(dir);
  try {
    const environment = { DATABASE_URL: postgres.url };
    await runDrawdown(["migrate"], environment);
    await writeFile(join(dir, "seeded.json"), await runDrawdown(["seed", "--json"], environment));
  } finally {
    await postgres.stop();
  }
  return dir;
}

/** A folder of the caller's own with the template's data; the template is made now when this run has none. */
export async function copyTemplate(): Promise<{ dir: string; seeded: Seeded }> {
  const announced = announcedTemplate();
  const dir = announced === undefined ? await makeTemplate() : await testFolder("postgres");
  if (announced !== undefined) {
    await cp(announced, dir, {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => !path.endsWith("owner.json"),
    });
  }
  return { dir, seeded: JSON.parse(await readFile(join(dir, "seeded.json"), "utf8")) as Seeded };
}

/** What `testFolder` made for a server, with the folder around it. */
export function wholeFolder(dir: string): string {
  return dirname(dir);
}
