import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type AccountRef,
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

  test("Rule 8: each dead letter and each unaccounted entry is named as what it is", async () => {
    const account = await stage.account("100");
    const gone = { ...account, id: crypto.randomUUID() };
    const wrong = olderFields(account, { currency: "EUR" });
    await chargeUnits(stage, account, 1);
    const inOtherMoney = await addEntry(stage, account, wrong);
    const unreadable = await addEntry(stage, account, olderFields(account, { cost: "lots" }));
    const withoutAccount = await addEntry(stage, account, olderFields(gone));
    await settleAll(stage);
    const twice = olderFields(account);
    await addEntry(stage, account, twice);
    const lettered = await addEntry(stage, account, { ...twice, currency: "EUR" });
    await settleAll(stage);
    // The same deduction as it should have been is in the books already.
    await stage.query("UPDATE data.dead_letter SET raw = decode($2, 'hex') WHERE stream_entry_id = $1", [
      lettered,
      Buffer.concat(Object.entries(twice).flatMap(([name, value]) => [name, value].flatMap(lengthAndBytes))).toString(
        "hex",
      ),
    ]);
    const letters = await planReplay(stage.billing, { kind: "dead_letters" });
    expect(Object.fromEntries(letters.targets.map(({ target, class: of }) => [target.entry_id, of]))).toEqual({
      [inOtherMoney]: "eligible",
      [unreadable]: "unparseable",
      [withoutAccount]: "account_gone",
      [lettered]: "already_applied",
    });
    const narrow = await planReplay(stage.billing, { kind: "dead_letters", errorClass: "unknown_account" });
    expect(narrow.targets.map(({ target }) => target.entry_id)).toEqual([withoutAccount]);

    await chargeUnits(stage, account, 1);
    const [half = ""] = await writeAsOlderWorker(stage, account);
    await chargeUnits(stage, account, 1);
    const badly = await addEntry(stage, account, { ...olderFields(account), cost: "lots" });
    const [lost = ""] = await ackUnwritten(stage, account);
    const unaccounted = await planReplay(stage.billing, { kind: "unaccounted" });
    expect(unaccounted.targets.map(({ target, class: of }) => [target.entry_id, of])).toEqual([
      [half, "eligible"],
      [lost, "eligible"],
      [badly, "unparseable"],
    ]);
  });
});

function lengthAndBytes(text: string): [Buffer, Buffer] {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(text));
  return [length, Buffer.from(text)];
}

describe("what older workers leave behind", () => {
  test("Rule 8: entries that an older worker acked after a failed insert are found, settled once, and no longer unaccounted; no money moves in Redis", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 2);
    await settleAll(stage);
    await chargeUnits(stage, account, 5);
    const lost = await ackUnwritten(stage, account);
    await proveAll(stage.billing);
    expect((await listUnaccounted(stage.billing)).entries.map(({ raw }) => raw.entryId)).toEqual(lost);
    expect(await drift(stage, account)).toEqual(noDrift);
    const redis = await peekBalance(stage.billing, account);

    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 5, applied: 5, already: 0, failed: 0, left: 0 });
    expect(await booked(stage, account)).toEqual({ rows: 7, moved: "0.000000000" });
    expect(await drift(stage, account)).toEqual(noDrift);
    expect(await peekBalance(stage.billing, account)).toEqual(redis);
    expect((await listUnaccounted(stage.billing)).entries).toEqual([]);
    expect(await stage.billing.redis.keys("unaccounted:*")).toEqual([]);
    expect(await chainProblems(stage, account)).toEqual([]);
    const [row] = await stage.query("SELECT consumer FROM data.usage_log ORDER BY id DESC LIMIT 1");
    expect(row).toEqual({ consumer: `replay-${operationId}` });
  });

  test("Rule 8: rows that an older worker wrote without moving the balance are completed, once", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 4);
    await settleAll(stage);
    await chargeUnits(stage, account, 3);
    const half = await writeAsOlderWorker(stage, account);
    expect(await booked(stage, account)).toEqual({ rows: 4, moved: "0.000000000" });
    const { entries } = await listUnaccounted(stage.billing);
    expect(entries.map(({ raw, standing }) => [raw.entryId, standing])).toEqual(half.map((id) => [id, "half_settled"]));
    for (const applied of [3, 0]) {
      const { operationId } = await startReplay(stage.billing, { kind: "unaccounted", ids: half }, anAct());
      expect(await execute(stage, operationId)).toMatchObject({ targets: 3, applied, already: 3 - applied, failed: 0 });
      expect(await booked(stage, account)).toEqual({ rows: 7, moved: "0.000000000" });
      expect(await drift(stage, account)).toEqual(noDrift);
    }
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Rule 8: what is unaccounted behind an entry that is still pending is found too", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    await chargeUnits(stage, account, 1);
    await deliverTo(stage, account, "some-worker");
    await chargeUnits(stage, account, 1);
    const lost = await ackUnwritten(stage, account);
    await proveAll(stage.billing); // the mark waits before the pending entry
    const { operationId, plan } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    expect(plan.targets.map(({ target }) => target.entry_id)).toEqual(lost);
    expect(await execute(stage, operationId)).toMatchObject({ targets: 1, applied: 1 });
    expect(await drift(stage, account)).toEqual(noDrift);
  });

  test("Rule 4: an unaccounted entry that cannot be read becomes a dead letter with its bytes", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const id = await addEntry(stage, account, olderFields(account, { cost: "lots" }));
    await ackUnwritten(stage, account);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 1, applied: 0, failed: 1 });
    const letters = await listDeadLetters(stage.billing.query);
    expect(letters).toMatchObject([{ entryId: id, errorClass: "invalid_cost", state: "open", attempts: 1 }]);
    expect((await listUnaccounted(stage.billing)).entries).toEqual([]);
  });
});

describe("nothing twice", () => {
  test("Rule 8: two people who replay the same targets at once settle each of them once, and between them account for all", async () => {
    const account = await stage.account("1000");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    await chargeUnits(stage, account, 250);
    await ackUnwritten(stage, account);
    const [one, two] = await Promise.all([
      startReplay(stage.billing, { kind: "unaccounted" }, anAct({ actor: "one" })),
      startReplay(stage.billing, { kind: "unaccounted" }, anAct({ actor: "two" })),
    ]);
    const results = await Promise.all([execute(stage, one.operationId), execute(stage, two.operationId)]);
    expect(results).toMatchObject([
      { targets: 250, failed: 0, left: 0 },
      { targets: 250, failed: 0, left: 0 },
    ]);
    expect(Number(results[0]?.applied) + Number(results[1]?.applied)).toBe(250);
    expect(await booked(stage, account)).toEqual({ rows: 251, moved: "0.000000000" });
    expect(await drift(stage, account)).toEqual(noDrift);
    const again = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    expect(again.operationId).toBeNull();
  });

  test("Rule 8: replaying while workers consume takes nothing from a live one and settles nothing twice", async () => {
    const account = await stage.account("1000");
    await chargeUnits(stage, account, 100);
    await deliverTo(stage, account, "dead-worker");
    await untilDead(stage, "dead-worker");
    const { operationId } = await startReplay(stage.billing, { kind: "pending" }, anAct());
    const worker = stage.worker({ settings: { claimIdleMs: 100, claimEveryMs: 100 } });
    const charging = chargeUnits(stage, account, 200);
    const replaying = execute(stage, operationId);
    const second = await startReplay(stage.billing, { kind: "pending" }, anAct());
    await Promise.all([charging, replaying, execute(stage, second.operationId)]);
    await stage.atRest();
    await worker.stop();
    expect(await replaying).toMatchObject({ targets: 101, failed: 0, left: 0 });
    expect(await booked(stage, account)).toEqual({ rows: 300, moved: "0.000000000" });
    expect(await drift(stage, account)).toEqual(noDrift);
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Rule 8: a crash between any two writes of a replay leaves an act that the next executor ends, each target counted as what it was", async () => {
    // One account, in a stream of its own, for each point.
    const points = ["replay.gathered", "replay.settled", "operation.recorded"] as const;
    const accounts = new Map<string, AccountRef>();
    while (accounts.size < points.length) {
      const account = await stage.account("1000");
      accounts.set(keyOf(account), account);
    }
    const cases = [...accounts.values()].map((account, i) => ({ account, point: points[i] }));
    for (const { account } of cases) {
      await chargeUnits(stage, account, 150);
      await deliverTo(stage, account, "dead-worker");
    }
    await untilDead(stage, "dead-worker");
    for (const { account, point } of cases) {
      const dies = await stage.another({
        observe: (seen) => {
          if (seen === point) throw new Error("crash");
        },
      });
      const shards = [shardOf(account.id, 16)];
      const { operationId } = await startReplay(stage.billing, { kind: "pending", shards }, anAct());
      const id = operationId ?? "";
      await expect(runOperation(dies, id, new AbortController().signal)).rejects.toThrow("crash");
      // A link's row does not say who wrote it: settled before the crash, it counts as there already.
      const applied = point === "replay.settled" ? 150 : 151;
      const result = { targets: 151, failed: 0, left: 0, applied, already: 151 - applied };
      expect(await execute(stage, id), point).toMatchObject(result);
      expect(await booked(stage, account)).toEqual({ rows: 150, moved: "0.000000000" });
      expect(await drift(stage, account)).toEqual(noDrift);
      expect(await stage.billing.redis.xpending(keyOf(account), GROUP)).toHaveProperty("0", 0);
      const consumers = JSON.stringify(await stage.billing.redis.xinfo("CONSUMERS", keyOf(account), GROUP));
      expect(consumers).not.toContain("replay-");
    }
  });
});
