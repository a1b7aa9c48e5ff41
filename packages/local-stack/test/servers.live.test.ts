import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import { Client } from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freePort, startPostgres, startRedis, waitFor } from "../src/index.ts";
import { isAlive } from "../src/processes.ts";

type Started = { postgres: { pid: number; port: number; url: string }; redis: { pid: number; url: string } };

let dir: string;
const toStop: { stop(): Promise<void> }[] = [];
const children: ChildProcess[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drawdown-servers-"));
});

afterEach(async () => {
  for (const server of toStop.splice(0)) await server.stop();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

async function postgresIn(folder: string, port?: number) {
  const server = await startPostgres({ dir: join(dir, folder), ...(port === undefined ? {} : { port }) });
  toStop.push(server);
  return server;
}

async function redisIn(folder: string, port?: number) {
  const server = await startRedis({ dir: join(dir, folder), ...(port === undefined ? {} : { port }) });
  toStop.push(server);
  return server;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

/** Starts both servers in a process of their own. */
async function startOwner(
  environment: Record<string, string> = {},
): Promise<{ child: ChildProcess; started: Started }> {
  const script = join(import.meta.dirname, "stack-owner.ts");
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [script, dir], { env, stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return { child, started: JSON.parse(line) as Started };
}

async function listenOn(port: number): Promise<{ stop(): Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { stop: () => new Promise((resolve) => server.close(() => resolve())) };
}

test("Postgres keeps its data over stops and crashes, and stopping twice is harmless", async () => {
  const first = await postgresIn("postgres");
  await query(first.url, "CREATE TABLE kept AS SELECT 'ä' AS letter");
  await first.stop();
  await first.stop();
  expect(await isAlive(first.pid)).toBe(false);
  const second = await postgresIn("postgres");
  await query(second.url, "INSERT INTO kept VALUES ('ß')");
  await second.kill();
  const third = await postgresIn("postgres");
  expect(await query(third.url, "SELECT letter FROM kept ORDER BY letter")).toEqual([{ letter: "ß" }, { letter: "ä" }]);
});

test("Postgres speaks UTF-8 with the C.UTF-8 order whatever the machine's language", async () => {
  const { url } = await postgresIn("postgres");
  const [row] = await query(
    url,
    "SELECT datlocale, pg_encoding_to_char(encoding) AS encoding FROM pg_database LIMIT 1",
  );
  expect(row).toEqual({ datlocale: "C.UTF-8", encoding: "UTF8" });
});

test("Postgres lets in nobody without the password", async () => {
  const { url } = await postgresIn("postgres");
  const without = new URL(url);
  without.password = "guess";
  await expect(query(without.href, "SELECT 1")).rejects.toThrow(/password authentication failed/);
});

test("Redis keeps what it answered over a crash, and evicts nothing", async () => {
  const first = await redisIn("redis");
  await withRedis(first.url, async (redis) => {
    expect(await redis.config("GET", "appendfsync")).toEqual(["appendfsync", "always"]);
    expect(await redis.config("GET", "maxmemory-policy")).toEqual(["maxmemory-policy", "noeviction"]);
    expect(await redis.config("GET", "bind")).toEqual(["bind", "127.0.0.1"]);
    await redis.set("kept", "yes");
  });
  await first.kill();
  await first.stop();
  expect(await isAlive(first.pid)).toBe(false);
  const second = await redisIn("redis");
  expect(await withRedis(second.url, (redis) => redis.get("kept"))).toBe("yes");
});

test("a taken port is an error that names it", async () => {
  const port = await freePort();
  toStop.push(await listenOn(port));
  await expect(startPostgres({ dir: join(dir, "postgres"), port })).rejects.toThrow(
    `Port ${port} on 127.0.0.1 is taken`,
  );
  await expect(startRedis({ dir: join(dir, "redis"), port })).rejects.toThrow(`Port ${port} on 127.0.0.1 is taken`);
});

test("after SIGKILL of the process that started them, both start again with their data", async () => {
  const { child, started } = await startOwner();
  await query(started.postgres.url, "CREATE TABLE kept AS SELECT 1 AS one");
  await withRedis(started.redis.url, (redis) => redis.set("kept", "yes"));
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await isAlive(started.postgres.pid)).toBe(true);

  const postgres = await postgresIn("postgres");
  const redis = await redisIn("redis");
  expect(await query(postgres.url, "SELECT one FROM kept")).toEqual([{ one: 1 }]);
  expect(await withRedis(redis.url, (client) => client.get("kept"))).toBe("yes");
  await waitFor(async () => !(await isAlive(started.postgres.pid)) && !(await isAlive(started.redis.pid)), {
    timeoutMs: 5_000,
    what: "the servers that were left behind to be gone",
  });
});

test("the servers of a process that lives are not touched", async () => {
  const { child, started } = await startOwner();
  const used = new RegExp(`in use by process ${child.pid}`);
  await expect(startPostgres({ dir: join(dir, "postgres") })).rejects.toThrow(used);
  await expect(startRedis({ dir: join(dir, "redis") })).rejects.toThrow(used);
  expect(await query(started.postgres.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  child.kill("SIGKILL");
  await once(child, "exit");
  await postgresIn("postgres");
  await redisIn("redis");
});

test("servers end with the process that started them, when it ends without stopping them", async () => {
  const { child, started } = await startOwner();
  // The end of its input ends the process.
  child.stdin?.end();
  await once(child, "exit");
  await waitFor(async () => !(await isAlive(started.postgres.pid)) && !(await isAlive(started.redis.pid)), {
    timeoutMs: 10_000,
    what: "both servers to end",
  });
});

test.runIf(process.getuid?.() === 0)(
  "as root, Postgres also starts where user namespaces are forbidden, on the same data",
  async () => {
    const usual = await postgresIn("postgres");
    await query(usual.url, "CREATE TABLE kept AS SELECT 1 AS one");
    await usual.stop();
    // A machine without `unshare`: the next way is another user.
    const programs = join(dir, "programs");
    await mkdir(programs);
    await symlink("/usr/bin/setpriv", join(programs, "setpriv"));
    const { child, started } = await startOwner({ PATH: programs });
    expect(await query(started.postgres.url, "SELECT one FROM kept")).toEqual([{ one: 1 }]);
    expect((await stat(join(dir, "postgres/data"))).uid).not.toBe(0);
    child.kill("SIGKILL");
    await once(child, "exit");
    const again = await postgresIn("postgres");
    expect(await query(again.url, "SELECT one FROM kept")).toEqual([{ one: 1 }]);
    await redisIn("redis");
  },
);
