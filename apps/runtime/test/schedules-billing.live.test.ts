import { randomUUID } from "node:crypto";
import { type Billing, closeBilling, consume, openBilling, readStats, shardOf, streamKey } from "@drawdown/billing";
import { closeDb, connectDb, type Db, listSchedules } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Config, readConfig } from "../src/config.ts";
import { runJobs } from "../src/jobs/runner.ts";
import { billingSchedules, scheduleJobs } from "../src/jobs/schedule-tasks.ts";
import { run, start } from "./stage.ts";

let database: TestDatabase;
let redis: TestRedis;
let db: Db;
let billing: Billing;
const closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  db = connectDb(database.url);
  billing = await openBilling({ redisUrl: redis.url, db });
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await closeBilling(billing);
  await closeDb(db);
  await Promise.all([redis.stop(), database.drop()]);
});

const within = { timeoutMs: 15_000 };
const configOf = (settings: Record<string, string> = {}): Config =>
  readConfig(["database", "redis"], { DATABASE_URL: database.url, REDIS_URL: redis.url, ...settings });
const runOf = async (name: string, settings: Record<string, string> = {}) => {
  const schedule = billingSchedules(billing, configOf(settings)).find((one) => one.name === name);
  return await schedule?.run(new AbortController().signal);
};
const openAlerts = async () =>
  (
    await db.$client.query<{ kind: string }>("SELECT kind FROM data.alert WHERE resolved_at IS NULL ORDER BY kind")
  ).rows.map(({ kind }) => kind);
const setMemory = async (share: number) => {
  const used = Number(/^used_memory:(\d+)/m.exec(await billing.redis.info("memory"))?.[1]);
  await billing.redis.config("SET", "maxmemory", String(share === 0 ? 0 : Math.round(used / share)));
};

/** Settled entries of one account, appended as long ago as is given; returns how many are in its stream. */
async function settledEntries(...agesMs: number[]): Promise<() => Promise<number>> {
  const [account, owner] = [randomUUID(), randomUUID()];
  await db.$client.query("INSERT INTO data.user_profile (id) VALUES ($1)", [owner]);
  await db.$client.query("INSERT INTO data.account_balance (id, owner_userid, balance) VALUES ($1, $2, 100)", [
    account,
    owner,
  ]);
  const stream = streamKey(shardOf(account, 16));
  for (const ageMs of agesMs.toSorted((a, b) => b - a)) {
    const entry = {
      deduction_id: `ded_${ageMs}`,
      account_id: account,
      account_type: "user",
      virtual_key: "vk",
      cost: "0.5",
      provider: "openai",
      model: "gpt-4o",
    };
    await billing.redis.xadd(stream, `${Date.now() - ageMs}-0`, ...Object.entries(entry).flat());
  }
  const stop = new AbortController();
  const ended = consume({ billing, consumer: "worker", signal: stop.signal, settings: { blockTimeMs: 100 } });
  const settled = "SELECT 1 FROM data.usage_log WHERE settled_at IS NOT NULL";
  await waitFor(async () => (await db.$client.query(settled)).rows.length === agesMs.length, {
    ...within,
    what: "settling",
  });
  await waitFor(async () => (await billing.redis.xpending(stream, "billing_workers"))[0] === 0, {
    ...within,
    what: "acks",
  });
  stop.abort();
  await ended;
  return () => billing.redis.xlen(stream);
}

const dead = ({ idleMs }: { idleMs: number }) => idleMs >= 8_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe("the schedule of cleanup", () => {
  test("Rule 7: removes what is older than a day; above 60 % of memory, what is older than five minutes", async () => {
    const left = await settledEntries(25 * HOUR, 23 * HOUR, 6 * MINUTE, 4 * MINUTE);
    expect(await runOf("cleanup")).toMatchObject({ trimmed: 1, max_age_ms: 24 * HOUR });
    expect(await left()).toBe(3);
    await setMemory(0.5);
    expect(await runOf("cleanup")).toMatchObject({ trimmed: 0 });
    await setMemory(0.7);
    expect(await runOf("cleanup")).toMatchObject({ trimmed: 2, max_age_ms: 5 * MINUTE, kept: { too_young: 1 } });
    expect(await left()).toBe(1);
  });

  test("removes a dead consumer that holds nothing, and clears a reference to an entry that is gone", async () => {
    await settledEntries(HOUR);
    const { redis: client } = billing;
    const used = (await readStats(billing)).shards.find(({ length }) => length > 0);
    const stream = streamKey(used?.shard ?? -1);
    const [[id] = [""]] = await client.xrange(stream, "-", "+");
    await client.xgroup("CREATECONSUMER", stream, "billing_workers", "holder");
    await client.call("XCLAIM", stream, "billing_workers", "holder", 0, id, "FORCE");
    await client.xdel(stream, id);
    const gone = { dangling_cleared: 1, consumers_removed: ["holder", "worker"] };
    await waitFor(async () => (await readStats(billing)).shards.flatMap(({ consumers }) => consumers).every(dead), {
      ...within,
      what: "both to be dead",
    });
    expect(await runOf("cleanup")).toMatchObject(gone);
    expect((await readStats(billing)).shards.flatMap(({ consumers }) => consumers)).toEqual([]);
  });

  test("removes refusals older than 30 days", async () => {
    const insert = (age: string) =>
      db.$client.query(
        `INSERT INTO data.refusal (created_at, account_id, virtual_key, request_id, code, currency, balance, held, credit_limit, required)
         VALUES (now() - $1::interval, gen_random_uuid(), 'vk', 'r', 'insufficient_balance', 'USD', 0, 0, 0, 1)`,
        [age],
      );
    await insert("31 days");
    await insert("29 days");
    expect(await runOf("cleanup")).toMatchObject({ refusals_removed: 1 });
    expect(await runOf("cleanup")).toMatchObject({ refusals_removed: 0 });
  });

  test("has its settings from the environment, also the limit of memory", async () => {
    const left = await settledEntries(3 * HOUR, 1.5 * HOUR, 10 * MINUTE);
    expect(await runOf("cleanup", { CLEANUP_MAX_AGE_HOURS: "2" })).toMatchObject({ trimmed: 1 });
    await setMemory(0.5);
    const settings = { ALERT_MEMORY_PERCENT: "40", CLEANUP_PRESSURE_AGE_MINUTES: "60" };
    expect(await runOf("cleanup", settings)).toMatchObject({ trimmed: 1, max_age_ms: HOUR });
    expect(await left()).toBe(1);
  });
});

describe("the schedule of monitoring", () => {
  /** A worker's queue with every schedule. */
  async function startQueue(settings: Record<string, string> = {}) {
    const closing = new AbortController();
    const errors: unknown[] = [];
    const options = {
      signal: closing.signal,
      log: { debug: () => undefined, warn: () => undefined },
      onError: (error: unknown) => void errors.push(error),
    };
    const config = configOf(settings);
    const ended = runJobs({ ...options, ...scheduleJobs(billing, config, options), databaseUrl: database.url });
    closers.push(async () => {
      closing.abort();
      await ended;
    });
    return errors;
  }
  const last = async (name: string) => (await listSchedules(db)).find((one) => one.name === name)?.lastResult;

  test("runs at a start, and starts a cleanup at once above 60 % of memory", async () => {
    const left = await settledEntries(HOUR);
    await setMemory(0.7);
    const errors = await startQueue();
    await waitFor(async () => (await left()) === 0, { ...within, what: "the entry to be cleaned up" });
    expect(await last("monitoring")).toMatchObject({ outcome: "done", wrong: ["memory"], cleanup_started: true });
    expect(await openAlerts()).toEqual(["memory"]);
    await waitFor(async () => (await last("cleanup"))?.["outcome"] === "done", {
      ...within,
      what: "the run to be kept",
    });
    expect(errors).toEqual([]);
  });

  test("with maxmemory 0 percentages do not apply: no alert, and no cleanup before its time", async () => {
    const left = await settledEntries(HOUR);
    await setMemory(0);
    await startQueue();
    await waitFor(async () => await last("monitoring"), { ...within, what: "the run at the start" });
    expect(await last("monitoring")).toMatchObject({ outcome: "done", wrong: [], cleanup_started: false });
    expect(await last("cleanup")).toBeNull();
    expect(await openAlerts()).toEqual([]);
    expect(await left()).toBe(1);
  });

  test("a Redis that is away fails the run, which says so, and changes no alert", async () => {
    const errors = await startQueue();
    await waitFor(async () => await last("monitoring"), { ...within, what: "the run at the start" });
    await redis.kill();
    expect(await runOf("prove").catch((error: unknown) => error)).toBeInstanceOf(Error);
    await db.$client.query("SELECT graphile_worker.add_job('schedule_monitoring')");
    await waitFor(async () => (await last("monitoring"))?.["outcome"] === "failed", { ...within, what: "the failure" });
    expect(await last("monitoring")).toMatchObject({ error: "The balance store cannot be reached." });
    expect(errors.length).toBeGreaterThan(0);
    expect(await openAlerts()).toEqual([]);
    await redis.restart();
  });
});

describe("drawdown worker and drawdown stats", () => {
  type State = Record<"last_run" | "next_run", string | null> & { name: string; settings: Record<string, number> };

  test("the state of every schedule can be asked, with the settings in force; a stop leaves in time", async () => {
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      CLEANUP_MAX_AGE_HOURS: "48",
      ALERT_BACKLOG: "123",
      ALERT_SHARD_IMBALANCE: "7",
    };
    const stats = async () => {
      const { code, stdout } = await run(["stats", "--json"], env);
      expect(code).toBe(0);
      return (JSON.parse(stdout) as { schedules: State[] }).schedules;
    };
    expect(await stats()).toEqual([]);
    const startedAt = Date.now();
    const worker = start(["worker"], env);
    const state = await waitFor(
      async () => {
        const schedules = await stats();
        return schedules.find(({ name, last_run: lastRun }) => name === "monitoring" && lastRun !== null) && schedules;
      },
      { timeoutMs: 20_000, what: "monitoring at the start" },
    );
    const states = Object.fromEntries(state.map((one) => [one.name, one]));
    expect(Object.keys(states)).toEqual(["cleanup", "monitoring", "prove", "reconcile", "verify-chain"]);
    expect(states["cleanup"]).toMatchObject({
      running: false,
      last_run: null,
      last_result: null,
      settings: { interval_ms: HOUR, first_delay_ms: 30 * MINUTE, max_age_ms: 48 * HOUR, max_per_shard: 1_000 },
    });
    const firstMs = Date.parse(states["cleanup"]?.next_run ?? "") - startedAt;
    expect(firstMs).toBeGreaterThanOrEqual(30 * MINUTE);
    expect(firstMs).toBeLessThan(32 * MINUTE);
    expect(states["monitoring"]).toMatchObject({
      last_result: { outcome: "done", wrong: [] },
      settings: { interval_ms: 5 * MINUTE, backlog: 123, shard_imbalance: 7, memory_share: 0.6 },
    });
    expect(worker.stderr()).toContain("maxmemory 0");
    worker.signal("SIGTERM");
    expect(await worker.exited).toMatchObject({ code: 0 });
    const { stdout } = await run(["stats"], env);
    expect(stdout).toMatch(/monitoring\s+no\s+20\d\d-.*done/);
  });
});
