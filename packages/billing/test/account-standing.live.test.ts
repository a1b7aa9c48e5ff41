import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { charge, openHold, readAccountStanding, shardOf, streamKey } from "../src/index.ts";
import { ackUnwritten, chargeUnits, deliverTo, drain, keyOf, settleAll, UNIT } from "./replay-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

test("Rule 10: an account's standing explains to the nano why Redis and the books differ, and what is not loaded is unknown, not zero", async () => {
  const account = await stage.account("100");
  const standing = async () => (await readAccountStanding(stage.billing, account.id)) ?? expect.fail("no account");
  expect(await standing()).toMatchObject({ realTime: null, difference: null, holds: null });
  expect((await standing()).settled.balance).toBe("100.000000000");
  expect(await readAccountStanding(stage.billing, randomUUID())).toBeUndefined();

  await chargeUnits(stage, account, 3);
  await settleAll(stage);
  expect(await standing()).toMatchObject({
    realTime: { balance: "97.000000000", held: "0.000000000", seq: "4" },
    settled: { balance: "97.000000000", totalDebits: "3.000000000", seq: "4" },
    difference: {
      amount: "0.000000000",
      inFlight: { count: 0, amount: "0.000000000", places: {} },
      creditsNotApplied: { count: 0, amount: "0.000000000" },
      unexplained: "0.000000000",
    },
    holds: { count: 0, amount: "0.000000000", list: [] },
  });

  // One dead letter, two acked and not written, one pending, one unread; a hold; a credit that Redis does not have.
  await stage.query("ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_test_check CHECK (cost <> 7) NOT VALID");
  await charge(stage.billing, aCharge(account, 7n * UNIT));
  await drain(stage);
  await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_test_check");
  await chargeUnits(stage, account, 2);
  await ackUnwritten(stage, account);
  await charge(stage.billing, aCharge(account, 3n * UNIT));
  await deliverTo(stage, account, "a-dead-worker");
  await charge(stage.billing, aCharge(account, 4n * UNIT + 1n));
  const hold = {
    account,
    virtualKey: "vk_test",
    requestId: "held-1",
    digest: "d".repeat(64),
    amountNanos: 5n * UNIT,
    ttlMs: 60_000,
    provider: "openai",
    model: "gpt-4o",
  };
  const held = await openHold(stage.billing, hold);
  if (held.outcome !== "held") throw new Error(held.outcome);
  await stage.query("SELECT data.post_credit($1, 20, 'top_up', 'r1', 'a test', 'tester')", [account.id]);
  const open = await standing();
  expect(open).toMatchObject({
    realTime: { balance: "80.999999999", held: "5.000000000", available: "75.999999999" },
    settled: { balance: "117.000000000" },
    difference: {
      amount: "-36.000000001",
      inFlight: {
        count: 5,
        amount: "16.000000001",
        places: {
          dead_lettered: { count: 1, amount: "7.000000000" },
          unaccounted: { count: 2, amount: "2.000000000" },
          pending: { count: 1, amount: "3.000000000" },
          unread: { count: 1, amount: "4.000000001" },
        },
      },
      creditsNotApplied: { count: 1, amount: "20.000000000" },
      settledSince: "0.000000000",
      unexplained: "0.000000000",
    },
    holds: {
      count: 1,
      amount: "5.000000000",
      list: [{ holdId: held.holdId, amount: "5.000000000", expired: false, requestId: "held-1", model: "gpt-4o" }],
    },
  });

  // A write that is none of ours is what is left unexplained.
  const { shard } = open;
  const key = `balance:{${streamKey(shard)}}:user:${account.ownerId}`;
  expect(streamKey(shardOf(account.id, 16))).toBe(keyOf(account));
  await stage.billing.redis.hincrby(key, "b", 42);
  expect((await standing()).difference).toMatchObject({ unexplained: "0.000000042" });

  // More entries than can be looked through: the sum is the equation's, the count is unknown.
  const others = await stage.account("1");
  const filler = ["account_id", others.id, "x", "1"];
  const pipeline = stage.billing.redis.pipeline();
  for (let i = 0; i < 5_001; i++) pipeline.xadd(keyOf(account), "*", ...filler);
  await pipeline.exec();
  expect((await standing()).difference).toMatchObject({
    inFlight: { count: null, amount: "16.000000001", places: null },
    unexplained: null,
  });
});
