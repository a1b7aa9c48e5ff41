import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  admitRequest,
  type Billing,
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
