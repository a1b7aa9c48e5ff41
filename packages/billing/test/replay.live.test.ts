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
import { LIVE_MS, takeOver } from "../src/pending.ts";
import {
  accountsApart,
  ackUnwritten,
  addEntry,
  anAct,
  booked,
  chargeUnits,
  deliverTo,
  drain,
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

describe("pending entries", () => {
  test("Rule 8: what a live consumer holds stays with it; what a consumer held that died meanwhile is taken over", {
    timeout: 40_000,
  }, async () => {
    const [account, other] = await accountsApart(stage);
    await chargeUnits(stage, account, 1);
    await chargeUnits(stage, other, 1);
    const [first = ""] = await deliverTo(stage, account, "live-worker");
    await deliverTo(stage, other, "dying-worker");
    const key = keyOf(account);
    const touch = setInterval(
      () =>
        void stage.billing.redis.xreadgroup(
          "GROUP",
          GROUP,
          "live-worker",
          "COUNT",
          1,
          "STREAMS",
          key,
          "18446744073709551615-0",
        ),
      1_000,
    );
    try {
      const { operationId, plan } = await startReplay(stage.billing, { kind: "pending" }, anAct());
      expect(plan.classes.held_by_live_consumer).toBe(4);
      expect(await execute(stage, operationId)).toMatchObject({ targets: 4, applied: 2, failed: 2 });
      const { entries } = await listPending(stage.billing);
      expect(entries.map(({ consumer, deliveries }) => [consumer, deliveries])).toEqual([
        ["live-worker", 1],
        ["live-worker", 1],
      ]);
      expect(entries[0]?.entryId).toBe(first);
      const items = await stage.query(
        "SELECT DISTINCT detail->>'error_class' AS why FROM data.operation_item WHERE outcome = 'failed'",
      );
      expect(items).toEqual([{ why: "held_by_live_consumer" }]);
    } finally {
      clearInterval(touch);
    }
  });

  test("Rule 4: an entry removed from the stream while pending: settled before, it is acked; else it is kept as a dead letter first", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const key = keyOf(account);
    const redis = stage.billing.redis;
    const [settled = ""] = (await redis.xrevrange(key, "+", "-", "COUNT", 1))[0] ?? [];
    const id = await addEntry(stage, account, olderFields(account));
    await deliverTo(stage, account, "dead-worker");
    await redis.call("XCLAIM", key, GROUP, "dead-worker", 0, settled, "FORCE");
    await redis.xdel(key, settled, id);
    await untilDead(stage, "dead-worker");
    const { operationId, plan } = await startReplay(stage.billing, { kind: "pending" }, anAct());
    expect(plan.classes).toMatchObject({ already_applied: 1, unparseable: 1 });
    expect(await execute(stage, operationId)).toMatchObject({ targets: 2, applied: 0, already: 1, failed: 1 });
    expect(await redis.xpending(key, GROUP)).toHaveProperty("0", 0);
    expect(await listDeadLetters(stage.billing.query)).toMatchObject([{ entryId: id, errorClass: "entry_deleted" }]);
  });

  test("Rule 8: of two that take the same entries over at once, one gets each", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 50);
    const ids = await deliverTo(stage, account, "dead-worker");
    await untilDead(stage, "dead-worker");
    const takers = ["one", "two"].map((name) => takeOver(stage.billing, shardOf(account.id, 16), name, ids, LIVE_MS));
    const taken = (await Promise.all(takers)).map((entries) => entries.length);
    expect(taken.toSorted((a, b) => a - b)).toEqual([0, 51]);
  });

  test("Rule 8: targets are chosen by id, shard, age and consumer", async () => {
    const [account, other] = await accountsApart(stage);
    const [deduction = ""] = await chargeUnits(stage, account, 1);
    await chargeUnits(stage, other, 1);
    const [opening = "", entry = ""] = await deliverTo(stage, account, "one");
    await deliverTo(stage, other, "two");
    const chosen = async (more: object) =>
      (await planReplay(stage.billing, { kind: "pending", ...more })).targets.map(({ target }) => target.entry_id);
    expect(await chosen({})).toHaveLength(4);
    expect(await chosen({ consumer: "one" })).toEqual([opening, entry]);
    expect(await chosen({ shards: [shardOf(account.id, 16)] })).toEqual(expect.arrayContaining([opening, entry]));
    expect(await chosen({ ids: [entry] })).toContain(entry);
    expect(await chosen({ ids: [`${keyOf(account)}/${entry}`] })).toEqual([entry]);
    expect(await chosen({ ids: [deduction] })).toEqual([entry]);
    expect(await chosen({ olderThanMs: 60_000 })).toEqual([]);
    expect(await chosen({ limit: 3 })).toHaveLength(3);
    expect((await planReplay(stage.billing, { kind: "pending", ids: ["1-1"] })).missing).toEqual(["1-1"]);
  });
});

describe("dead letters", () => {
  test("Rule 8: a letter that fails again stays open with one more attempt in its history; once its cause is mended it is replayed and closed", async () => {
    const account = await stage.account("100");
    const ghost = { ...account, id: crypto.randomUUID(), ownerId: crypto.randomUUID() };
    await addEntry(stage, account, olderFields(ghost));
    await settleAll(stage);
    const [letter] = await listDeadLetters(stage.billing.query);
    expect(letter).toMatchObject({ state: "open", attempts: 3, errorClass: "unknown_account", history: [] });
    const replay = async (reason: string) => {
      const { operationId } = await startReplay(stage.billing, { kind: "dead_letters" }, anAct({ reason }));
      return { ...(await execute(stage, operationId)), operationId };
    };
    const failed = await replay("too early");
    expect(failed).toMatchObject({ targets: 1, applied: 0, already: 0, failed: 1 });
    const history = {
      act: "replay",
      actor: "tester",
      reason: "too early",
      operation_id: failed.operationId,
      outcome: "failed",
    };
    expect(await listDeadLetters(stage.billing.query)).toMatchObject([
      { state: "open", attempts: 4, history: [{ ...history, error_class: "unknown_account" }] },
    ]);
    await stage.query("INSERT INTO data.user_profile (id, email, name) VALUES ($1, 'g@example.test', 'g')", [
      ghost.ownerId,
    ]);
    await stage.query(
      "INSERT INTO data.account_balance (id, owner_userid, currency, balance) VALUES ($1, $2, 'USD', 10)",
      [ghost.id, ghost.ownerId],
    );
    expect(await replay("the account is there")).toMatchObject({ targets: 1, applied: 1, failed: 0 });
    const [closed] = await listDeadLetters(stage.billing.query);
    expect(closed).toMatchObject({
      state: "replayed",
      attempts: 4,
      history: [history, { reason: "the account is there", outcome: "applied" }],
    });
    expect(
      await stage.query("SELECT balance, total_debits FROM data.account_balance WHERE id = $1", [ghost.id]),
    ).toEqual([{ balance: "9.990000000", total_debits: "0.000000000" }]);
    const again = await startReplay(stage.billing, { kind: "dead_letters", ids: [closed?.id ?? ""] }, anAct());
    expect(await execute(stage, again.operationId)).toMatchObject({ targets: 1, applied: 0, already: 1, failed: 0 });
    expect((await listDeadLetters(stage.billing.query))[0]?.history).toHaveLength(2);
  });

  test("Rule 8: our own deduction as a dead letter keeps counting as not settled until it is replayed, and Redis never moves", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    await stage.query(
      "ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_test_check CHECK (model <> 'gpt-4o') NOT VALID",
    );
    await chargeUnits(stage, account, 3);
    await drain(stage);
    const redis = await peekBalance(stage.billing, account);
    expect(redis?.balanceNanos).toBe(96n * UNIT);
    expect(await drift(stage, account)).toEqual(noDrift);
    await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_test_check");
    const { operationId } = await startReplay(stage.billing, { kind: "dead_letters", errorClass: "23514" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 3, applied: 3 });
    expect(await peekBalance(stage.billing, account)).toEqual(redis);
    expect(await drift(stage, account)).toEqual(noDrift);
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Rule 8: a link has no deduction that settling could close it by: the replay closes its letter", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    const [row] = await stage.billing.redis.xrange(keyOf(account), "-", "+", "COUNT", 1);
    const fields = row?.[1] ?? [];
    expect(fields[fields.indexOf("kind") + 1]).toBe("credit");
    await stage.query(
      "ALTER TABLE data.account_balance_audit ADD CONSTRAINT audit_test_check CHECK (account_seq <> 1) NOT VALID",
    );
    await drain(stage);
    expect(await listDeadLetters(stage.billing.query)).toMatchObject([{ state: "open", deductionId: null }]);
    await stage.query("ALTER TABLE data.account_balance_audit DROP CONSTRAINT audit_test_check");
    const { operationId } = await startReplay(stage.billing, { kind: "dead_letters" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 1, applied: 1 });
    expect(await listDeadLetters(stage.billing.query)).toMatchObject([{ state: "replayed" }]);
    expect(await chainProblems(stage, account)).toEqual([]);
  });
});
