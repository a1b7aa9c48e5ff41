import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listOf } from "../src/fields.ts";
import { FIELDS_DEPTH, foldReplies } from "../src/folded.ts";
import {
  admitRequest,
  type Billing,
  BillingError,
  charge,
  chargeMany,
  cleanup,
  closeBilling,
  consume,
  openBilling,
  readBalance,
  readStats,
  trace,
} from "../src/index.ts";
import { connectRedis, redisReady } from "../src/redis.ts";
import { aCharge, createAccount } from "./stage.ts";

const slots = 16_384;
let nodes: TestRedis[];
let database: TestDatabase;
let db: Db;
let billing: Billing;

beforeAll(async () => {
  nodes = await Promise.all(
    [0, 1, 2].map(() => testRedis({ extraArgs: ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"] })),
  );
  const clients = nodes.map((node) => new Redis(node.url));
  await Promise.all(
    clients.map((client, i) =>
      client.call("CLUSTER", "ADDSLOTSRANGE", Math.floor((slots * i) / 3), Math.floor((slots * (i + 1)) / 3) - 1),
    ),
  );
  for (const node of nodes.slice(1)) await clients[0]?.call("CLUSTER", "MEET", "127.0.0.1", node.port);
  for (const client of clients)
    await waitFor(async () => String(await client.call("CLUSTER", "INFO")).includes("cluster_state:ok"), {
      timeoutMs: 20_000,
      what: "the cluster up",
    });
  clients.forEach((client) => client.disconnect());
  database = await testDatabase();
  db = connectDb(database.url);
  billing = await openBilling({ clusterNodes: nodes.map((node) => `127.0.0.1:${node.port}`), db });
}, 60_000);

afterAll(async () => {
  await closeBilling(billing);
  await closeDb(db);
  await database.drop();
  await Promise.all(nodes.map((node) => node.stop()));
});

test("three masters: accounts on all of them are charged, settled, traced and cleaned up", async () => {
  const accounts = await Promise.all(Array.from({ length: 24 }, () => createAccount(db, "10", {})));
  const outcomes = await chargeMany(
    billing,
    accounts.flatMap((account) => [aCharge(account, 1_000_000_000n), aCharge(account, 2_000_000_000n)]),
  );
  expect(outcomes.map((outcome) => outcome.outcome)).toEqual(Array.from({ length: 48 }, () => "charged"));
  const held = await Promise.all(
    nodes.map(async (node) => {
      const client = new Redis(node.url);
      const keys = await client.dbsize();
      client.disconnect();
      return keys;
    }),
  );
  expect(held.every((keys) => keys > 0)).toBe(true);

  const stop = new AbortController();
  const worker = consume({ billing, consumer: "worker-1", signal: stop.signal, settings: { blockTimeMs: 500 } });
  const settled = async () =>
    Number(
      (await db.$client.query("SELECT count(*) AS n FROM data.usage_log WHERE settled_at IS NOT NULL")).rows[0]?.n,
    );
  await waitFor(async () => (await settled()) === 48, { timeoutMs: 15_000, what: "48 settled rows" });
  await waitFor(async () => (await readStats(billing)).totals.pending === 0, { timeoutMs: 5_000, what: "all acked" });
  stop.abort();
  await worker;

  const [first] = outcomes;
  if (first?.outcome !== "charged") throw new Error("not charged");
  expect(await trace(billing, first.deductionId)).toMatchObject({ state: "settled", deductionId: first.deductionId });
  const [one] = accounts;
  if (one === undefined) throw new Error("no account");
  const spendLimit = { period: "day", limitNanos: 3_000_000_000n } as const;
  expect(await charge(billing, aCharge(one, 1n, { spendLimit }))).toMatchObject({ reason: "spend_limit" });
  expect(await admitRequest(billing, one, "vk_test", 1)).toEqual({ outcome: "admitted" });
  expect(await admitRequest(billing, one, "vk_test", 1)).toMatchObject({ outcome: "limited" });
  const cleaned = await cleanup(billing, { maxAgeMs: -1_000, maxPerShard: 1_000, dryRun: false });
  expect(cleaned.reduce((sum, shard) => sum + shard.trimmed, 0)).toBe(24 * 3);
  for (const account of accounts) expect((await readBalance(billing, account))?.balanceNanos).toBe(7_000_000_000n);
});

test("Rule 4: a worker's connections to each master give it an entry's fields in one piece", async () => {
  const reading = connectRedis({ clusterNodes: nodes.map((node) => `127.0.0.1:${node.port}`) }, { blocking: true });
  foldReplies(reading, FIELDS_DEPTH.xreadgroup);
  await redisReady(reading, 10_000);
  const held = new Set<number>();
  for (let i = 0; held.size < 3; i++) {
    const stream = `{folded:${i}}`;
    const master = Math.floor((Number(await billing.redis.call("CLUSTER", "KEYSLOT", stream)) * 3) / slots);
    if (held.has(master)) continue;
    held.add(master);
    await reading.xgroup("CREATE", stream, "g", "0", "MKSTREAM");
    await reading.xadd(stream, "*", "cost", "1", "model", "é");
    const reply = await reading.callBuffer("XREADGROUP", "GROUP", "g", "one", "STREAMS", stream, ">");
    const [[, [[, fields]]]] = reply as [[Buffer, [[Buffer, Buffer]]]];
    expect(listOf(fields).map(String)).toEqual(["cost", "1", "model", "é"]);
    expect(Buffer.isBuffer(fields)).toBe(true);
    const range = await (await billing.rangeReader()).callBuffer("XRANGE", stream, "-", "+");
    const [[, inRange]] = range as [[Buffer, Buffer]];
    expect(inRange).toEqual(fields);
    await reading.del(stream);
  }
  reading.disconnect();
});

test("Rule 3: a command whose connection broke before it was answered is not sent again: its caller is told", async () => {
  const key = "{cluster.live}:count";
  const clients = nodes.map((node) => new Redis(node.url));
  await billing.redis.get(key);
  for (const client of clients) await client.call("CLIENT", "PAUSE", 60_000, "WRITE");
  const answer = billing.redis.incr(key).then(
    () => "answered",
    () => "told",
  );
  await waitFor(
    async () => {
      for (const client of clients) {
        const id = /^id=(\d+) .* cmd=incr /m.exec(String(await client.call("CLIENT", "LIST")))?.[1];
        if (id !== undefined) return await client.call("CLIENT", "KILL", "ID", id);
      }
      return undefined;
    },
    { timeoutMs: 10_000, what: "the command to wait in Redis" },
  );
  expect(await answer).toBe("told");
  for (const client of clients) await client.call("CLIENT", "UNPAUSE");
  await waitFor(async () => (await billing.redis.set("{cluster.live}:writes", "go on")) === "OK", {
    timeoutMs: 10_000,
    what: "writes to go on",
  });
  expect(await billing.redis.get(key)).toBeNull();
  for (const client of clients) client.disconnect();
});

test("Rule 6: while a cluster is away every command fails at once and none waits for it; when it is back all goes on, and who starts meanwhile waits", async () => {
  const account = await createAccount(db, "10", {});
  expect((await charge(billing, aCharge(account, 1_000_000_000n))).outcome).toBe("charged");
  await Promise.all(nodes.map((node) => node.kill()));
  await waitFor(() => billing.redis.status !== "ready", { timeoutMs: 10_000, what: "the connections lost" });
  const startedAt = performance.now();
  const away = await Promise.allSettled(
    Array.from({ length: 100 }, () => charge(billing, aCharge(account, 1_000_000_000n))),
  );
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(away.map((one) => one.status === "rejected" && one.reason instanceof BillingError && one.reason.code)).toEqual(
    Array.from({ length: 100 }, () => "redis_unavailable"),
  );
  const clusterNodes = nodes.map((node) => `127.0.0.1:${node.port}`);
  const opening = openBilling({ clusterNodes, db, openTimeoutMs: 30_000 });
  await Promise.all(nodes.map((node) => node.restart()));
  const other = await opening;
  expect((await charge(other, aCharge(account, 1_000_000_000n))).outcome).toBe("charged");
  await closeBilling(other);
  await waitFor(async () => (await charge(billing, aCharge(account, 1_000_000_000n))).outcome === "charged", {
    timeoutMs: 20_000,
    what: "a charge after the return",
  });
  expect((await readBalance(billing, account))?.balanceNanos).toBe(7_000_000_000n);
}, 60_000);
