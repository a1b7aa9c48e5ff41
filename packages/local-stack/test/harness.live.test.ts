import { Redis } from "ioredis";
import { Client } from "pg";
import { expect, test } from "vitest";
import { testDatabase, testRedis, waitFor } from "../src/index.ts";

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test("each test database is a migrated one of its own", async () => {
  const databases = await Promise.all([testDatabase(), testDatabase(), testDatabase()]);
  const [first, second] = databases;
  await query(first.url, "CREATE TABLE mine AS SELECT 1 AS one");
  expect(await query(first.url, "SELECT one FROM mine")).toEqual([{ one: 1 }]);
  await expect(query(second.url, "SELECT one FROM mine")).rejects.toThrow(/does not exist/);
  const schemas = await query(second.url, "SELECT 1 FROM pg_namespace WHERE nspname = 'data'");
  expect(schemas).toHaveLength(1);
  for (const database of databases) await database.drop();
});

test("a test database is dropped although somebody is connected, and twice", async () => {
  const database = await testDatabase();
  const client = new Client({ connectionString: database.url });
  const cut = new Promise((resolve) => client.on("error", resolve));
  await client.connect();
  await database.drop();
  await database.drop();
  await cut;
  await expect(query(database.url, "SELECT 1")).rejects.toThrow(/does not exist/);
});

test("a test Redis comes back on its port with its data, gently restarted or killed", async () => {
  const server = await testRedis();
  const redis = new Redis(server.url, { retryStrategy: () => 20 });
  redis.on("error", () => {});
  await redis.set("kept", "yes");
  await server.restart();
  expect(await redis.get("kept")).toBe("yes");
  await server.kill();
  await server.restart();
  expect(await waitFor(() => redis.get("kept"), { timeoutMs: 5_000, what: "the value" })).toBe("yes");
  redis.disconnect();
  await server.stop();
  await server.stop();
});
