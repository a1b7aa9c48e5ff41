import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  charge,
  chargeMany,
  cleanup,
  proveShard,
  readBalance,
  readMark,
  shardOf,
  startReplay,
  streamKey,
} from "../src/index.ts";
import { anAct, execute, writeAsOlderWorker } from "./replay-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

describe("the proven mark and cleanup", () => {
  const drained = async () => {
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
  };

  test("Rule 7: a pending, an unread and an unaccounted entry among old settled ones stay; exactly the settled ones are removed", async () => {
    const account = await stage.account("100");
    const shard = shardOf(account.id, 16);
    const key = streamKey(shard);
    const redis = stage.billing.redis;
    const one = () => charge(stage.billing, aCharge(account, 1_000_000_000n));
    await one();
    await drained();
    // An older worker acks a batch whose insert failed: unaccounted.
    await one();
    await redis.xreadgroup("GROUP", "billing_workers", "older-worker", "COUNT", 10, "STREAMS", key, ">");
    const unaccounted = (await redis.xrevrange(key, "+", "-", "COUNT", 1))[0]?.[0] ?? "";
    await redis.xack(key, "billing_workers", unaccounted);
    await one();
    await redis.xreadgroup("GROUP", "billing_workers", "dead-worker", "COUNT", 10, "STREAMS", key, ">");
    const pending = (await redis.xrevrange(key, "+", "-", "COUNT", 1))[0]?.[0] ?? "";
    await one();
    const worker = stage.worker({ settings: { claimIdleMs: 60_000 } });
    await expect
      .poll(async () => (await stage.query("SELECT 1 FROM data.usage_log")).length, { timeout: 10_000 })
      .toBe(2);
    await worker.stop();
    await one();
    const unread = (await redis.xrevrange(key, "+", "-", "COUNT", 1))[0]?.[0] ?? "";

    const preview = await cleanup(stage.billing, { maxAgeMs: -1_000, maxPerShard: 2, dryRun: true, shards: [shard] });
    expect(preview[0]).toMatchObject({ trimmed: 3, kept: { pending: 1, unread: 1, unaccounted: 1, too_young: 0 } });
    expect(await redis.xlen(key)).toBe(6);
    const [result] = await cleanup(stage.billing, { maxAgeMs: -1_000, maxPerShard: 2, dryRun: false, shards: [shard] });
    expect(result).toEqual({ ...preview[0] });
    expect((await redis.xrange(key, "-", "+")).map(([id]) => id)).toEqual([unaccounted, pending, unread]);
    // What stays still counts: the account loads to the same balance.
    await redis.del(`balance:{${key}}:user:${account.ownerId}`);
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(95_000_000_000n);
  });

  test("Rule 7: the entry of a half-settled row stays, however old, so that a replay can always complete the row; then it goes", async () => {
    const account = await stage.account("100");
    const shard = shardOf(account.id, 16);
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await drained();
    await charge(stage.billing, aCharge(account, 2_000_000_000n));
    const half = await writeAsOlderWorker(stage, account);
    const all = { maxAgeMs: -1_000, maxPerShard: 1_000, dryRun: false, shards: [shard] };
    await proveShard(stage.billing, shard);
    expect((await cleanup(stage.billing, all))[0]).toMatchObject({ trimmed: 2, kept: { half_settled: 1 } });
    expect((await stage.billing.redis.xrange(streamKey(shard), "-", "+")).map(([id]) => id)).toEqual(half);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 1, applied: 1 });
    expect((await cleanup(stage.billing, all))[0]).toMatchObject({ trimmed: 1, kept: { half_settled: 0 } });
    const [books] = await stage.query("SELECT balance FROM data.account_balance WHERE id = $1", [account.id]);
    expect(books).toEqual({ balance: "97.000000000" });
  });

  test("Rule 7: entries younger than the cut-off stay", async () => {
    const account = await stage.account("100");
    await charge(stage.billing, aCharge(account, 1n));
    await drained();
    const shard = shardOf(account.id, 16);
    const [result] = await cleanup(stage.billing, {
      maxAgeMs: 3_600_000,
      maxPerShard: 1_000,
      dryRun: false,
      shards: [shard],
    });
    expect(result).toMatchObject({ trimmed: 0, kept: { too_young: 2 } });
  });

  test("a pass rests after each page, which is proven by then, for as long as it is told to", async () => {
    const account = await stage.account("100");
    const shard = shardOf(account.id, 16);
    const outcomes = await chargeMany(
      stage.billing,
      Array.from({ length: 1_500 }, () => aCharge(account, 1_000n)),
    );
    expect(outcomes.every(({ outcome }) => outcome === "charged")).toBe(true);
    const worker = stage.worker();
    await stage.drained();
    await worker.stop();
    const ids = (await stage.billing.redis.xrange(streamKey(shard), "-", "+")).map(([id]) => id);
    const marks: string[] = [];
    let resting = 0;
    const rest = async (workedMs: number) => {
      resting += 1;
      expect(workedMs).toBeGreaterThan(0);
      marks.push(await readMark(stage.billing, shard));
      resting -= 1;
    };
    expect((await proveShard(stage.billing, shard, rest)).mark).toBe(ids.at(-1));
    expect(resting).toBe(0);
    expect(marks).toEqual([ids[999], ids.at(-1)]);
  });

  test("the mark moves past what is proven, keeps what is unaccounted beside it, and an account loads exactly from there", async () => {
    const account = await stage.account("100");
    const shard = shardOf(account.id, 16);
    const key = streamKey(shard);
    for (let i = 0; i < 5; i++) await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await drained();
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await stage.billing.redis.xreadgroup("GROUP", "billing_workers", "older-worker", "COUNT", 10, "STREAMS", key, ">");
    const lost = (await stage.billing.redis.xrevrange(key, "+", "-", "COUNT", 1))[0]?.[0] ?? "";
    await stage.billing.redis.xack(key, "billing_workers", lost);
    const proof = await proveShard(stage.billing, shard);
    expect(proof.mark).toBe(lost);
    expect(proof.unaccounted.map(({ raw, standing }) => [raw.entryId, standing])).toEqual([[lost, "unaccounted"]]);
    expect((await proveShard(stage.billing, shard)).unaccounted).toHaveLength(1);
    await stage.billing.redis.del(`balance:{${key}}:user:${account.ownerId}`);
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(94_000_000_000n);
  });

  test("Section 2: a Postgres that lost rows shows them as unaccounted again, because its own mark went back with it", async () => {
    const account = await stage.account("100");
    const shard = shardOf(account.id, 16);
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await drained();
    expect((await proveShard(stage.billing, shard)).unaccounted).toEqual([]);
    await stage.query("DELETE FROM data.account_balance_audit WHERE deduction_id IS NOT NULL");
    await stage.query("DELETE FROM data.usage_log");
    await stage.query("UPDATE data.account_balance SET balance = balance + total_debits, total_debits = 0");
    await stage.query("UPDATE data.shard SET proven = NULL");
    await stage.billing.redis.del(`balance:{${streamKey(shard)}}:user:${account.ownerId}`);
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(99_000_000_000n);
    expect((await proveShard(stage.billing, shard)).unaccounted).toHaveLength(1);
    expect(await stage.query("SELECT level, key FROM data.alert WHERE kind = 'postgres_went_back'")).toEqual([
      { level: "critical", key: `shard ${shard}` },
    ]);
  });
});
