import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  listDeadLetters,
  listPending,
  listUnaccounted,
  peekBalance,
  planReplay,
  proveAll,
  runOperation,
  shardOf,
  startReplay,
} from "../src/index.ts";
import {
  ackUnwritten,
  addEntry,
  anAct,
  booked,
  chargeUnits,
  deliverTo,
  drift,
  execute,
  GROUP,
  keyOf,
  noDrift,
  olderFields,
  settleAll,
  UNIT,
  untilDead,
  writeAsOlderWorker,
} from "./replay-stage.ts";
import { chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

describe("the dry run", () => {
  test("Rule 8: each pending target is named as what it is, and nothing is changed", async () => {
    const account = await stage.account("100");
    const gone = { ...account, id: crypto.randomUUID() };
    await chargeUnits(stage, account, 3);
    await settleAll(stage);
    const redis = stage.billing.redis;
    // Delivered to a worker that died: one was settled and not acked, one was not, one cannot be read, one has no account.
    const [settled = ""] = (await redis.xrevrange(keyOf(account), "+", "-", "COUNT", 1))[0] ?? [];
    const [eligible = ""] = await (async () => {
      await chargeUnits(stage, account, 1);
      return (await redis.xrevrange(keyOf(account), "+", "-", "COUNT", 1))[0] ?? [];
    })();
    const unparseable = await addEntry(stage, account, { ...olderFields(account), cost: "lots" });
    const accountGone = await addEntry(stage, account, olderFields(gone));
    await deliverTo(stage, account, "dead-worker");
    await redis.call("XCLAIM", keyOf(account), GROUP, "dead-worker", 0, settled, "FORCE");
    await untilDead(stage, "dead-worker");
    await chargeUnits(stage, account, 1);
    const [held = ""] = await deliverTo(stage, account, "live-worker");

    const before = await listPending(stage.billing);
    const plan = await planReplay(stage.billing, { kind: "pending" });
    expect(Object.fromEntries(plan.targets.map(({ target, class: of }) => [target.entry_id, of]))).toEqual({
      [settled]: "already_applied",
      [eligible]: "eligible",
      [unparseable]: "unparseable",
      [accountGone]: "account_gone",
      [held]: "held_by_live_consumer",
    });
    expect(plan.classes).toEqual({
      already_applied: 1,
      held_by_live_consumer: 1,
      eligible: 1,
      unparseable: 1,
      account_gone: 1,
    });
    const after = await listPending(stage.billing);
    const holdings = ({ entries }: typeof after) =>
      entries.map(({ entryId, consumer, deliveries }) => [entryId, consumer, deliveries]);
    expect(holdings(after)).toEqual(holdings(before));
    expect(await stage.query("SELECT 1 FROM data.operator_action")).toEqual([]);
    expect(await booked(stage, account)).toEqual({ rows: 3, moved: "0.000000000" });
  });
});
