import { createServer } from "node:net";
import { closeDb, connectDb } from "@drawdown/db";
import {
  freePort,
  portIsFree,
  type TestDatabase,
  type TestRedis,
  testDatabase,
  testRedis,
  waitFor,
} from "@drawdown/local-stack";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { answers, type Started, start } from "./stage.ts";

// The build, when another test has not made it already, is the long part.
const buildMs = 240_000;

const admin = { DRAWDOWN_ADMIN_EMAIL: "first@example.com", DRAWDOWN_ADMIN_PASSWORD: "a first password" };

let database: TestDatabase;
let redis: TestRedis;
const started: Started[] = [];

beforeAll(async () => {
  [database, redis] = await Promise.all([testDatabase(), testRedis()]);
});

afterEach(() => {
  for (const { child } of started.splice(0)) child.kill("SIGKILL");
});

afterAll(async () => {
  await redis.stop();
  await database.drop();
});

function startConsole(port: number, args: string[] = []): Started {
  const env = { DATABASE_URL: database.url, REDIS_URL: redis.url, CONSOLE_PORT: String(port), ...admin };
  const running = start(["console", ...args], env);
  started.push(running);
  return running;
}

test(
  "drawdown console serves its pages with nothing but two stores and a port, and Ctrl-C leaves nothing",
  async () => {
    const port = await freePort();
    const console = startConsole(port);
    await Promise.race([
      answers(`http://127.0.0.1:${port}/sign-in`, 200, buildMs),
      console.exited.then(({ code }) => Promise.reject(new Error(`ended with ${code}: ${console.stderr()}`))),
    ]);
    const signedOut = await fetch(`http://localhost:${port}/accounts`, { redirect: "manual" });
    expect(signedOut.status).toBe(307);
    expect(signedOut.headers.get("location")).toMatch(/^(http:\/\/localhost:\d+)?\/sign-in/);

    const db = connectDb(database.url, { max: 1 });
    const { rows } = await db.$client.query("SELECT email, role FROM data.operator");
    expect(rows).toEqual([{ email: "first@example.com", role: "admin" }]);
    await closeDb(db);

    console.signal("SIGINT");
    console.signal("SIGINT");
    expect(await console.exited).toMatchObject({ code: 0, signal: null });
    expect(await portIsFree(port)).toBe(true);
  },
  buildMs + 30_000,
);

test("drawdown console ends with its launcher, in the middle of its work", async () => {
  const port = await freePort();
  const console = startConsole(port, ["--no-build"]);
  await answers(`http://127.0.0.1:${port}/sign-in`, 200, 60_000);
  console.child.disconnect();
  await waitFor(() => portIsFree(port), { timeoutMs: 10_000, what: "the port to be free" });
}, 90_000);

test("drawdown console says that the database is not migrated, and that its port is taken", async () => {
  const db = connectDb(database.url, { max: 1 });
  const journal = "data.drawdown_migration";
  await db.$client.query(`DELETE FROM ${journal} WHERE id = (SELECT max(id) FROM ${journal})`);
  const behind = startConsole(await freePort(), ["--no-build"]);
  expect(await behind.exited).toMatchObject({ code: 1 });
  expect(behind.stderr()).toContain("The database is not migrated to this version: run `drawdown migrate` first.");
  await db.$client.query("DROP SCHEMA data CASCADE");
  const empty = startConsole(await freePort(), ["--no-build"]);
  expect(await empty.exited).toMatchObject({ code: 1 });
  expect(empty.stderr()).toContain("drawdown migrate");
  await closeDb(db);
});

test("drawdown console without its database starts all the same, and names the port that is taken", async () => {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const env = { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none", REDIS_URL: redis.url, CONSOLE_PORT: String(port) };
  const console = start(["console", "--no-build"], env);
  started.push(console);
  expect(await console.exited).toMatchObject({ code: 1 });
  expect(console.stderr()).toContain(`Port ${port} is taken`);
  expect(console.stderr()).toContain("CONSOLE_PORT");
  server.close();
});
