import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { closeDb, connectDb, migrate } from "@drawdown/db";
import { startPostgres, waitFor } from "@drawdown/local-stack";
import type { RedisKey } from "ioredis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  applyCredit,
  BillingError,
  charge,
  closeBilling,
  consume,
  openBilling,
  peekBalance,
  readBalance,
  shardOf,
  streamKey,
} from "../src/index.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

describe("Redis away and back", () => {
  const settleAll = async () => {
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
  };
  const epochs = async () =>
    (await stage.query("SELECT DISTINCT epoch::text FROM data.shard ORDER BY 1")).map((row) => row.epoch);

  test("Rule 6: while Redis is away a charge fails as unavailable at once, and nothing is charged when it is back", async () => {
    const account = await stage.account("10");
    await readBalance(stage.billing, account);
    await stage.redis.kill();
    await waitFor(() => stage.billing.redis.status !== "ready", { timeoutMs: 5_000, what: "the connection lost" });
    const refused = await charge(stage.billing, aCharge(account, 1n)).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BillingError);
    expect(refused).toMatchObject({ code: "redis_unavailable", retryable: true });
    await stage.redis.restart();
    await waitFor(async () => (await readBalance(stage.billing, account))?.balanceNanos === 10_000_000_000n, {
      timeoutMs: 10_000,
      what: "the balance again",
    });
  });

  test("Section 2: a restart that lost nothing goes to the next epoch without an alert; request ids are still known", async () => {
    const account = await stage.account("10");
    const request = aCharge(account, 1_000_000_000n, { requestId: "before the restart" });
    const first = await charge(stage.billing, request);
    await settleAll();
    expect(await epochs()).toEqual(["1"]);
    await stage.redis.kill();
    await stage.redis.restart();
    const again = await waitFor(async () => await charge(stage.billing, request), {
      timeoutMs: 10_000,
      what: "an answer after the restart",
    });
    expect(again).toMatchObject({ ...first, outcome: "repeated" });
    expect((await charge(stage.billing, aCharge(account, 1_000_000_000n))).outcome).toBe("charged");
    await settleAll();
    await stage.billing.fence.verifyAll();
    expect(await epochs()).toEqual(["2"]);
    expect(await stage.query("SELECT 1 FROM data.alert")).toEqual([]);
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Section 2: an account deleted by hand while the restart is looked at is no loss", async () => {
    const account = await stage.account("10");
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await settleAll();
    const { redis } = stage.billing;
    const read = redis.hget.bind(redis);
    const deleted: unknown[] = [];
    redis.hget = async (key: RedisKey, field: string | Buffer) => {
      deleted.push(await redis.del(key));
      return await read(key, field);
    };
    await stage.redis.restart();
    await waitFor(async () => (await charge(stage.billing, aCharge(account, 1n))).outcome === "charged", {
      timeoutMs: 10_000,
      what: "a charge after the restart",
    });
    expect(deleted).toContain(1);
    expect(await stage.query("SELECT 1 FROM data.alert")).toEqual([]);
  });

  test("Section 2: a Redis that comes back empty is a critical alert; accounts are rebuilt from the books, and settled request ids are not charged again", async () => {
    const account = await stage.account("10");
    const request = aCharge(account, 1_000_000_000n, { requestId: "before the loss" });
    const first = await charge(stage.billing, request);
    await settleAll();
    await stage.billing.redis.flushall();
    const again = await charge(stage.billing, request);
    expect(again).toMatchObject({ ...first, outcome: "repeated" });
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(9_000_000_000n);
    expect((await charge(stage.billing, aCharge(account, 1_000_000_000n))).outcome).toBe("charged");
    const alerts = await stage.query<{ level: string; kind: string; details: Record<string, unknown> }>(
      "SELECT level, kind, details FROM data.alert",
    );
    expect(alerts.length).toBeGreaterThan(0);
    expect(alerts[0]).toMatchObject({ level: "critical", kind: "lost_epoch" });
    expect(alerts[0]?.details.from).toBeTruthy();
    await settleAll();
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Section 2: a handle whose epoch is over is fenced and learns the next one before it moves money", async () => {
    const account = await stage.account("10");
    const other = await stage.another();
    await charge(other, aCharge(account, 1n));
    const shard = shardOf(account.id, 16);
    const old = await other.fence.token(shard);
    await stage.billing.redis.set(`epoch:{stream:deductions:${shard}}`, old.replace(/^1:/, "7:"));
    expect((await charge(other, aCharge(account, 1n))).outcome).toBe("charged");
    expect(await other.fence.token(shard)).toMatch(/^7:/);
  });

  test("Section 5: another number of shards than the stores were started with ends with a message that names both", async () => {
    const opened = openBilling({ redisUrl: stage.redis.url, db: stage.db, numShards: 8 });
    await expect(opened).rejects.toThrow(/NUM_SHARDS is 8, but Redis was started with 16/);
  });
});

describe("Redis almost full", () => {
  test("Rule 6: from 80 % of maxmemory new charges are refused, while delivered ones, credits and settling go on", async () => {
    const account = await stage.account("10");
    await charge(stage.billing, aCharge(account, 1n));
    const used = Number(/used_memory:(\d+)/.exec(await stage.billing.redis.info("memory"))?.[1]);
    await stage.billing.redis.config("SET", "maxmemory", String(Math.round(used / 0.85)));
    await stage.billing.pressure.look();
    await expect(charge(stage.billing, aCharge(account, 1n))).rejects.toMatchObject({
      code: "redis_memory",
      retryable: true,
    });
    expect((await charge(stage.billing, aCharge(account, 1n, { delivered: true }))).outcome).toBe("charged");
    await stage.query("UPDATE data.account_balance SET balance = balance + 1 WHERE id = $1", [account.id]);
    expect(await applyCredit(stage.billing, account.id)).toBe("applied");
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    await stage.billing.redis.config("SET", "maxmemory", "0");
    await stage.billing.pressure.look();
    expect((await charge(stage.billing, aCharge(account, 1n))).outcome).toBe("charged");
  });

  test("Rule 1: a server that refuses to write for want of memory has written nothing of a charge", async () => {
    const account = await stage.account("10");
    await readBalance(stage.billing, account);
    const length = await stage.billing.redis.xlen(streamKey(shardOf(account.id, 16)));
    await stage.billing.redis.config("SET", "maxmemory", "1");
    await expect(charge(stage.billing, aCharge(account, 1n))).rejects.toMatchObject({ code: "redis_memory" });
    await stage.billing.redis.config("SET", "maxmemory", "0");
    expect(await stage.billing.redis.xlen(streamKey(shardOf(account.id, 16)))).toBe(length);
    expect((await peekBalance(stage.billing, account))?.seq).toBe(1n);
  });
});

describe("Postgres away and back", () => {
  test("Rule 4: Postgres down for 30 s under load: charges go on, nothing is dropped, everything settles after", {
    timeout: 120_000,
  }, async () => {
    const dir = await mkdtemp(join(tmpdir(), "drawdown-outage-"));
    let postgres = await startPostgres({ dir });
    await migrate(postgres.url);
    const db = connectDb(postgres.url);
    const billing = await openBilling({ redisUrl: stage.redis.url, db });
    const stop = new AbortController();
    const worker = consume({ billing, consumer: "worker-1", signal: stop.signal, settings: { blockTimeMs: 500 } });
    try {
      const own = {
        ...stage,
        db,
        billing,
        query: async (sql: string, values?: unknown[]) => (await db.$client.query(sql, values)).rows,
      };
      const { rows } = await db.$client.query(
        `WITH u AS (INSERT INTO data.user_profile (email, name) VALUES ('o@example.test', 'o') RETURNING id)
         INSERT INTO data.account_balance (owner_userid, currency, balance) SELECT id, 'USD', 1000 FROM u RETURNING id, owner_userid`,
      );
      const account = { id: rows[0].id, ownerId: rows[0].owner_userid, type: "user" as const, currency: "USD" };
      await readBalance(billing, account);
      await postgres.stop();
      const { port } = postgres;
      const backAt = performance.now() + 30_000;
      let charged = 0;
      while (performance.now() < backAt) {
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, () => charge(billing, aCharge(account, 1_000_000n))),
        );
        charged += outcomes.filter((outcome) => outcome.outcome === "charged").length;
        await pause(50); // the pace of the load, not a wait for something
      }
      expect(charged).toBeGreaterThan(1_000);
      postgres = await startPostgres({ dir, port });
      await waitFor(
        async () => (await own.query("SELECT count(*)::int AS n FROM data.usage_log"))[0]?.n === (charged as unknown),
        { timeoutMs: 30_000, what: `${charged} settled rows` },
      );
      await waitFor(async () => (await chainProblems(own, account)).length === 0, {
        timeoutMs: 5_000,
        what: "the chain whole",
      });
      const left = parseInt(String((await peekBalance(billing, account))?.balanceNanos), 10);
      expect(left).toBe(1_000_000_000_000 - charged * 1_000_000);
    } finally {
      stop.abort();
      await worker;
      await closeBilling(billing);
      await closeDb(db);
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});
