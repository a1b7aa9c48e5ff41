import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { announceTestRun, currentTestRun, givenTestDatabaseUrl, keepTemporaryFilesIn } from "./config.ts";
import { livingOwner, recordOwner } from "./owner.ts";
import { startPostgres, stopLeftOverPostgres } from "./postgres.ts";
import { endLeftOverRedis, stopLeftOverRedis } from "./redis.ts";

// One test run: one Postgres, in it one migrated template that each test file clones, and one folder below which each
// test file has its own Redis. What a killed run leaves behind is removed by the next one.

const FOLDER = "drawdown-test-";
const DATABASE = "drawdown_test_";
const ABANDONED_AFTER_S = 6 * 3600;

// The data of a test run need not survive a power cut, only crashes of the processes, which these settings keep safe.
const TEST_SETTINGS = { fsync: "off", full_page_writes: "off", max_wal_size: "2GB", autovacuum_naptime: "20s" };

export type TestRunOptions = {
  /** Brings an empty database to the present schema. */
  migrate: (databaseUrl: string) => Promise<void>;
  onProgress?: (line: string) => void;
};

/**
 * Prepares what `testDatabase` and `testRedis` need, on a Postgres of its own or on the one that TEST_DATABASE_URL
 * names. Returns the function that removes all of it again (harmless twice). Inside a run that is prepared already it
 * does nothing.
 */
export async function startTestRun(options: TestRunOptions): Promise<() => Promise<void>> {
  if (currentTestRun() !== undefined) return async () => {};
  await removeDeadRuns();
  await keepTestFilesInMemory();
  const dir = await mkdtemp(join(tmpdir(), FOLDER));
  await recordOwner(dir);
  const given = givenTestDatabaseUrl();
  const postgres =
    given === undefined
      ? await startPostgres({ dir: join(dir, "postgres"), settings: TEST_SETTINGS, ...progressOf(options) })
      : undefined;
  const serverUrl = given ?? postgres?.url ?? "";
  const runId = `${Math.floor(Date.now() / 1000)}_${randomBytes(4).toString("hex")}`;
  const databasePrefix = `${DATABASE}${runId}_`;
  const template = `${databasePrefix}template`;

  // An interrupted run ends without its teardown, and its workers without stopping their servers.
  const endServers = (): void => {
    for (const name of readdirSync(dir)) endLeftOverRedis(join(dir, name));
  };
  process.once("exit", endServers);
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    process.off("exit", endServers);
    announceTestRun(undefined);
    try {
      if (given !== undefined) await dropDatabases(given, (name) => name.startsWith(databasePrefix));
    } finally {
      await postgres?.stop();
      await removeRun(dir);
    }
  };
  try {
    await prepareTemplate({ serverUrl, template, options });
  } catch (error) {
    await stop();
    throw error;
  }
  announceTestRun({ serverUrl, template, databasePrefix, dir });
  return stop;
}

const MEMORY = "/dev/shm";
/** Twice what a run was seen to take at once. */
const ROOM_BYTES = 6 * 2 ** 30;

/**
 * Where the machine keeps files in memory and has plenty, that is where this process and those it starts make their temporary files. A test
 * clones a database and drops it, a thousand files each time: on a disk that takes up to a third of its processor time, and a disk that
 * others keep busy stands still for seconds.
 */
export async function keepTestFilesInMemory(): Promise<void> {
  const { bsize, blocks } = await statfs(MEMORY).catch(() => ({ bsize: 0, blocks: 0 }));
  if (bsize * blocks < ROOM_BYTES || freemem() < ROOM_BYTES) return;
  keepTemporaryFilesIn(MEMORY);
  await removeDeadRuns();
}

async function prepareTemplate(run: { serverUrl: string; template: string; options: TestRunOptions }): Promise<void> {
  if (givenTestDatabaseUrl() !== undefined) await dropDatabases(run.serverUrl, isAbandoned);
  await onServer(run.serverUrl, (client) =>
    client.query(`CREATE DATABASE ${run.template} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`),
  );
  run.options.onProgress?.("migrating the template database");
  await run.options.migrate(databaseUrl(run.serverUrl, run.template));
}

/** The same server's URL for another database. */
export function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** Runs one piece of work on a connection of its own. */
export async function onServer<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: "drawdown-tests" });
  client.on("error", () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** A new folder for a server of this run, or of this process when no run is prepared. */
export async function testFolder(kind: string): Promise<string> {
  const run = currentTestRun();
  if (run !== undefined) return mkdtemp(join(run.dir, `${kind}-`));
  const dir = await mkdtemp(join(tmpdir(), FOLDER));
  await recordOwner(dir);
  const folder = join(dir, kind);
  await mkdir(folder);
  return folder;
}

async function dropDatabases(serverUrl: string, chosen: (name: string) => boolean): Promise<void> {
  await onServer(serverUrl, async (client) => {
    const { rows } = await client.query<{ datname: string }>("SELECT datname FROM pg_database");
    const names = rows.map((row) => row.datname).filter((name) => /^[a-z0-9_]+$/.test(name) && chosen(name));
    for (const name of names) await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });
}

// On a server that is shared, another run may be in progress: only what is hours old is nobody's.
function isAbandoned(name: string): boolean {
  if (!name.startsWith(DATABASE)) return false;
  const startedAtS = Number.parseInt(name.slice(DATABASE.length), 10);
  return Date.now() / 1000 - startedAtS > ABANDONED_AFTER_S;
}

async function removeDeadRuns(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const dir = join(tmpdir(), name);
    // A folder without an owner file is one that another run is making at this moment.
    const known = name.startsWith(FOLDER) && (await readdir(dir).catch((): string[] => [])).includes("owner.json");
    if (known && (await livingOwner(dir)) === undefined) await removeRun(dir).catch(() => {});
  }
}

async function removeRun(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    await stopLeftOverPostgres(join(dir, name));
    await stopLeftOverRedis(join(dir, name));
  }
  await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

function progressOf(options: TestRunOptions): { onProgress?: (line: string) => void } {
  return options.onProgress === undefined ? {} : { onProgress: options.onProgress };
}
