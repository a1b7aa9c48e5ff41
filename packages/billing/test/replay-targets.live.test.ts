import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LIVE_MS } from "../src/claim.ts";
import {
  decodeEntry,
  decodeRaw,
  listDeadLetters,
  listPending,
  peekBalance,
  planReplay,
  proveAll,
  repair,
  shardOf,
  startReplay,
} from "../src/index.ts";
import { takeOver } from "../src/pending.ts";
import { settle } from "../src/settle.ts";
import {
  accountsApart,
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
} from "./replay-stage.ts";
import { chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

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

  test("Rule 8: what was written off is settled by nobody, neither by an act frozen before nor by who has its entry in hand", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    await stage.query(
      "ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_test_check CHECK (model <> 'gpt-4o') NOT VALID",
    );
    await chargeUnits(stage, account, 1);
    await drain(stage);
    await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_test_check");
    const [letter] = await listDeadLetters(stage.billing.query);
    const [row] = await stage.query<{ raw: Buffer }>("SELECT raw FROM data.dead_letter");
    const position = { shard: shardOf(account.id, 16), entryId: letter?.entryId ?? "", deliveryCount: 1 };
    const entry = decodeEntry(position, decodeRaw(row?.raw ?? Buffer.alloc(0)));
    const { operationId } = await startReplay(stage.billing, { kind: "dead_letters" }, anAct());
    await proveAll(stage.billing);
    const written = await repair(stage.billing, account, anAct(), { writeOff: [letter?.id ?? ""] });
    expect(written.outcome).toBe("repaired");
    expect(await execute(stage, operationId)).toMatchObject({ targets: 1, applied: 0, already: 1, failed: 0 });
    expect(await settle(stage.billing, [entry], "who had it in hand")).toMatchObject([{ errorClass: "written_off" }]);
    const plan = await planReplay(stage.billing, { kind: "dead_letters", ids: [letter?.id ?? ""] });
    expect(plan.classes.already_applied).toBe(1);
    await settleAll(stage);
    expect(await booked(stage, account)).toEqual({ rows: 1, moved: "0.000000000" });
    expect((await peekBalance(stage.billing, account))?.balanceNanos).toBe(99n * UNIT);
    expect(await drift(stage, account)).toEqual(noDrift);
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
