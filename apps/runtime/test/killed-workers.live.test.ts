import { setTimeout as pause } from "node:timers/promises";
import {
  type AccountRef,
  type Billing,
  chargeMany,
  closeBilling,
  openBilling,
  readStats,
  reconcile,
  verifyChain,
} from "@drawdown/billing";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type FleetAccount, Kept, openAccounts, randomOf } from "./fleet.ts";

const seconds = Number(process.env["KILLED_WORKERS_SECONDS"] ?? 12);

let database: TestDatabase;
let redis: TestRedis;
let db: Db;
let billing: Billing;
let workers: Kept[] = [];

beforeEach(async () => {
  [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  db = connectDb(database.url);
  billing = await openBilling({ redisUrl: redis.url, db });
});

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
  await closeBilling(billing);
  await closeDb(db);
  await Promise.all([redis.stop(), database.drop()]);
});

async function number(sql: string): Promise<number> {
  return Number((await db.$client.query<{ n: string }>(sql)).rows[0]?.n);
}

function aCharge(account: AccountRef, costNanos: bigint) {
  const texts = { virtualKey: "vk", requestId: crypto.randomUUID(), digest: "d".repeat(64), provider: "p", model: "m" };
  return { account, costNanos, inputTokens: 1, outputTokens: 1, usageSource: "reported" as const, ...texts };
}

/** Charges at a steady pace until `signal` aborts; returns how many were charged. */
async function load(accounts: readonly FleetAccount[], signal: AbortSignal): Promise<number> {
  const random = randomOf(4);
  let charged = 0;
  while (!signal.aborted) {
    const requests = Array.from({ length: 20 }, () => {
      const { ref } = accounts[Math.floor(random() * accounts.length)] as FleetAccount;
      return aCharge(ref, BigInt(Math.floor(random() * 1e6)));
    });
    const outcomes = await chargeMany(billing, requests);
    expect(outcomes.filter(({ outcome }) => outcome !== "charged")).toEqual([]);
    charged += outcomes.length;
    await pause(40); // the pace of the load, not a wait for something
  }
  return charged;
}

it(`5: two workers, one killed every second for ${seconds} s under load: nothing is lost, nothing is twice, and no error reaches a log unhandled`, {
  timeout: (seconds + 90) * 1_000,
}, async () => {
  const accounts = await openAccounts(db, 20, "100000");
  const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  workers = [new Kept(["worker"], env), new Kept(["worker"], env)];
  const settled = () => number("SELECT count(*) AS n FROM data.usage_log WHERE settled_at IS NOT NULL");
  const stop = new AbortController();
  const loading = load(accounts, stop.signal);
  await waitFor(async () => (await settled()) > 0, { timeoutMs: 20_000, what: "settling to begin" });
  for (let killed = 0; killed < seconds; killed += 1) {
    await pause(1_000); // one a second
    await workers[killed % 2]?.kill();
  }
  stop.abort();
  const charged = await loading;

  await waitFor(
    async () => {
      const { totals } = await readStats(billing);
      return totals.pending === 0 && totals.lag === 0;
    },
    { timeoutMs: 40_000, what: "everything acked" },
  );
  await Promise.all(workers.map((worker) => worker.stop()));
  const redelivered = await number("SELECT count(*) AS n FROM data.usage_log WHERE delivery_count > 1");
  const starts = workers.reduce((sum, worker) => sum + worker.starts, 0);
  console.log(`${charged} charges, ${starts} workers started, ${redelivered} rows delivered more than once`);
  expect(starts).toBeGreaterThanOrEqual(seconds + 2);
  expect(workers.flatMap(({ complaints }) => complaints)).toEqual([]);
  expect(await settled()).toBe(charged);
  expect(await number("SELECT count(DISTINCT request_id) AS n FROM data.usage_log")).toBe(charged);
  expect(await number("SELECT count(*) AS n FROM data.dead_letter")).toBe(0);
  expect(await number("SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()")).toBe(0);
  expect(await verifyChain(billing)).toMatchObject({ ok: true, accounts: 20 });
  expect(await reconcile(billing)).toMatchObject({ ok: true, accounts: 20 });
});
