import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readConsumers } from "../src/claim.ts";
import { charge, cleanup, listDeadLetters, previewCleanup, shardOf, startCleanup } from "../src/index.ts";
import { removeEmptyConsumer } from "../src/leave.ts";
import {
  addEntry,
  anAct,
  chargeUnits,
  deliverTo,
  execute,
  GROUP,
  keyOf,
  olderFields,
  settleAll,
  UNIT,
  untilDead,
} from "./replay-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

/** A reference as a holder has it whose entry is settled already. */
const hold = (key: string, consumer: string, id: string) =>
  stage.billing.redis.call("XCLAIM", key, GROUP, consumer, 0, id, "FORCE");
const pendingCount = async (key: string) => (await stage.billing.redis.xpending(key, GROUP))[0];
const newest = async (key: string) => (await stage.billing.redis.xrevrange(key, "+", "-", "COUNT", 1))[0]?.[0] ?? "";

describe("what is gone from a shard's group", () => {
  test("Rule 4: cleanup acks what is settled or kept, keeps the rest as dead letters first, and leaves a live consumer's alone", async () => {
    const account = await stage.account("100");
    const [key, shard, redis] = [keyOf(account), shardOf(account.id, 16), stage.billing.redis];
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const settled = await newest(key);
    await hold(key, "dead-worker", settled);
    const lost = await addEntry(stage, account, olderFields(account));
    await deliverTo(stage, account, "dead-worker");
    const there = await addEntry(stage, account, olderFields(account, { deduction_id: "there" }));
    await deliverTo(stage, account, "dead-worker");
    await redis.xgroup("CREATECONSUMER", key, GROUP, "idle-worker");
    await untilDead(stage, "dead-worker");
    const live = await addEntry(stage, account, olderFields(account, { deduction_id: "live" }));
    await deliverTo(stage, account, "live-worker");
    await redis.xgroup("CREATECONSUMER", key, GROUP, "new-worker");
    await redis.xdel(key, settled, lost, live);

    const settings = { maxAgeMs: 3_600_000, maxPerShard: 100, shards: [shard] };
    const found = { danglingCleared: 2, consumersRemoved: ["idle-worker", "worker-1"], pending: 2 };
    expect(await previewCleanup(stage.billing, settings)).toMatchObject(found);
    expect(await pendingCount(key)).toBe(4);
    expect(await execute(stage, await startCleanup(stage.billing, settings, anAct()))).toMatchObject({
      ...found,
      shards: [{ danglingKept: 1, kept: { too_young: 2 } }],
    });
    expect(await listDeadLetters(stage.billing.query)).toMatchObject([{ entryId: lost, errorClass: "entry_deleted" }]);
    const left = await redis.xpending(key, GROUP, "-", "+", 10);
    expect(left.map((row) => (Array.isArray(row) ? row.slice(0, 2) : row))).toEqual([
      [there, "dead-worker"],
      [live, "live-worker"],
    ]);
    const names = (await readConsumers(stage.billing, shard)).map(({ name }) => name);
    expect(names.toSorted()).toEqual(["dead-worker", "live-worker", "new-worker"]);
    // Again: the letter is on record, and what is left is not dangling or not dead.
    expect(await execute(stage, await startCleanup(stage.billing, settings, anAct()))).toMatchObject({
      danglingCleared: 0,
      consumersRemoved: [],
    });
  });

  test("Rule 7: an entry that is settled and not acked stays, and so does its reference", async () => {
    const account = await stage.account("100");
    const [key, shard] = [keyOf(account), shardOf(account.id, 16)];
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const id = await newest(key);
    await hold(key, "dead-worker", id);
    const settings = { maxAgeMs: -1_000, maxPerShard: 100, shards: [shard], dryRun: false };
    expect(await cleanup(stage.billing, settings)).toMatchObject([{ trimmed: 1, kept: { not_acked: 1 } }]);
    expect(await newest(key)).toBe(id);
    await stage.billing.redis.xack(key, GROUP, id);
    expect(await cleanup(stage.billing, settings)).toMatchObject([{ trimmed: 1, kept: { not_acked: 0 } }]);
  });

  test("Rule 4: a worker that takes a dead one's entries over keeps those that are gone, and makes no letter of what is settled", async () => {
    const account = await stage.account("100");
    const [key, redis] = [keyOf(account), stage.billing.redis];
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const settled = await newest(key);
    await hold(key, "dead-worker", settled);
    const lost = await addEntry(stage, account, olderFields(account));
    const there = await addEntry(stage, account, olderFields(account, { deduction_id: "there" }));
    await deliverTo(stage, account, "dead-worker");
    await redis.xdel(key, settled, lost);
    const worker = stage.worker({ settings: { claimIdleMs: 300, claimEveryMs: 100 } });
    await waitFor(async () => (await pendingCount(key)) === 0, { timeoutMs: 20_000, what: "nothing pending" });
    await worker.stop();
    expect(await listDeadLetters(stage.billing.query)).toMatchObject([{ entryId: lost, errorClass: "entry_deleted" }]);
    const [row] = await stage.query("SELECT stream_entry_id FROM data.usage_log WHERE deduction_id = 'there'");
    expect(row).toEqual({ stream_entry_id: there });
  });

  test("Rule 4: a worker that is back makes no letter of its own settled entry that was removed before its ack", async () => {
    const account = await stage.account("100");
    const key = keyOf(account);
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const id = await newest(key);
    await hold(key, "worker-1", id);
    await stage.billing.redis.xdel(key, id);
    const worker = stage.worker();
    await waitFor(async () => (await pendingCount(key)) === 0, { timeoutMs: 20_000, what: "nothing pending" });
    await worker.stop();
    expect(await listDeadLetters(stage.billing.query)).toEqual([]);
  });

  test("Rule 4: a consumer goes only when it holds nothing and shows no life, asked in the step that removes it", async () => {
    const account = await stage.account("100");
    const shard = shardOf(account.id, 16);
    await charge(stage.billing, aCharge(account, UNIT));
    await deliverTo(stage, account, "holder");
    await stage.billing.redis.xgroup("CREATECONSUMER", keyOf(account), GROUP, "empty");
    expect(await removeEmptyConsumer(stage.billing, shard, "holder")).toBe(false);
    expect(await removeEmptyConsumer(stage.billing, shard, "empty", 60_000)).toBe(false);
    expect(await removeEmptyConsumer(stage.billing, shard, "empty", 0)).toBe(true);
    expect(await removeEmptyConsumer(stage.billing, shard, "empty", 0)).toBe(false);
    expect(await pendingCount(keyOf(account))).toBe(2);
  });
});
