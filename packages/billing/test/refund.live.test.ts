import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  freezeAccount,
  listAccountOperations,
  listOperations,
  peekBalance,
  readRefundable,
  refund,
} from "../src/index.ts";
import {
  addEntry,
  anAct,
  chargeUnits,
  drift,
  noDrift,
  olderFields,
  settleAll,
  UNIT,
  writeAsOlderWorker,
} from "./replay-stage.ts";
import { chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

/** Σ of what was given back, as the books have it. */
const given = async () =>
  (await stage.query("SELECT sum(amount) AS sum FROM data.account_balance_audit WHERE audit_category = 'refund'"))[0]
    ?.sum;

describe("refund", () => {
  test("Rule 8: what is left to refund, and every act on an account, can be asked for", async () => {
    const [account, other] = [await stage.account("100"), await stage.account("100")];
    const [deductionId = ""] = await chargeUnits(stage, account, 1);
    expect(await readRefundable(stage.billing, deductionId)).toBeUndefined();
    await settleAll(stage);
    const acts = [anAct({ reason: "first" }), anAct({ reason: "second" })];
    for (const act of acts) await refund(stage.billing, deductionId, act, UNIT / 4n);
    await freezeAccount(stage.billing, account.id, anAct({ reason: "third" }));
    await freezeAccount(stage.billing, other.id, anAct({ reason: "another's" }));
    expect(await readRefundable(stage.billing, deductionId)).toEqual({
      deductionId,
      accountId: account.id,
      currency: "USD",
      charged: "1.000000000",
      refunded: "0.500000000",
      left: "0.500000000",
    });
    const operations = await listAccountOperations(stage.billing, account.id);
    expect(operations.map(({ action, reason }) => [action, reason])).toEqual([
      ["freeze", "third"],
      ["refund", "second"],
      ["refund", "first"],
    ]);
  });

  test("Rule 8: a refund is a credit that names its deduction, reaches Redis as a link, and is on record with both balances", async () => {
    const account = await stage.account("100");
    const [deductionId = ""] = await chargeUnits(stage, account, 2);
    await settleAll(stage);
    const outcome = await refund(stage.billing, deductionId, anAct({ reason: "a fault of ours" }), UNIT / 4n);
    expect(outcome).toMatchObject({
      outcome: "refunded",
      amountNanos: UNIT / 4n,
      chargedNanos: UNIT,
      refundedNanos: UNIT / 4n,
    });
    const rest = await refund(stage.billing, deductionId, anAct());
    expect(rest).toMatchObject({ outcome: "refunded", amountNanos: (UNIT * 3n) / 4n, refundedNanos: UNIT });
    expect(await refund(stage.billing, deductionId, anAct())).toEqual({
      outcome: "exceeds",
      chargedNanos: UNIT,
      refundedNanos: UNIT,
      requestedNanos: 0n,
    });
    await settleAll(stage);
    expect((await peekBalance(stage.billing, account))?.balanceNanos).toBe(99n * UNIT);
    expect(await drift(stage, account)).toEqual(noDrift);
    expect(await chainProblems(stage, account)).toEqual([]);
    const [credit] = await stage.query(
      "SELECT amount, reference, reason, actor, source FROM data.account_balance_audit WHERE audit_category = 'refund' ORDER BY id",
    );
    const [, first] = await listOperations(stage.billing.query);
    expect(credit).toEqual({
      amount: "0.250000000",
      reference: `refund:${deductionId}:${first?.id}`,
      reason: "a fault of ours",
      actor: "tester",
      source: "post_credit",
    });
    expect(first).toMatchObject({
      action: "refund",
      reason: "a fault of ours",
      before: { balance: "98.000000000", total_credits: "100.000000000" },
      after: { balance: "98.250000000", total_credits: "100.250000000" },
      result: { deduction_id: deductionId, amount: "0.250000000" },
    });
  });

  test("Rule 8: fifteen refunds at once give back no more than was charged, whatever their sizes", async () => {
    const account = await stage.account("100");
    const [deductionId = ""] = await chargeUnits(stage, account, 1);
    await settleAll(stage);
    // All of them come to the account's row before the first may change it.
    const blocker = await stage.db.$client.connect();
    await blocker.query("BEGIN");
    await blocker.query("SELECT FROM data.account_balance WHERE id = $1 FOR UPDATE", [account.id]);
    const refunds = Array.from({ length: 15 }, (_, i) =>
      refund(stage.billing, deductionId, anAct(), i % 4 === 0 ? undefined : (UNIT * BigInt((i % 4) + 1)) / 10n),
    );
    const waiting = () =>
      stage.query("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");
    await expect.poll(async () => (await waiting()).length, { timeout: 10_000 }).toBe(15);
    await blocker.query("COMMIT");
    blocker.release();
    const outcomes = await Promise.all(refunds);
    expect(outcomes.some(({ outcome }) => outcome === "exceeds")).toBe(true);
    expect(await given()).toBe("1.000000000");
    expect(await refund(stage.billing, deductionId, anAct(), 1n)).toMatchObject({ outcome: "exceeds" });
  });

  test("Rule 8: the same refund asked for again, by its id, answers the first", async () => {
    const account = await stage.account("100");
    const [deductionId = ""] = await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const act = anAct({ id: crypto.randomUUID() });
    const outcomes = await Promise.all([1, 2, 3].map(() => refund(stage.billing, deductionId, act, UNIT / 10n)));
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(["refunded", "repeated", "repeated"]);
    expect(await given()).toBe("0.100000000");
  });

  test("Rule 8: only what is settled is refunded: an unknown id, an unread one, a half-settled one, a free call and a negative amount are not", async () => {
    const account = await stage.account("100");
    expect(await refund(stage.billing, "ded_unknown", anAct())).toEqual({ outcome: "not_settled" });
    const [deductionId = ""] = await chargeUnits(stage, account, 1);
    expect(await refund(stage.billing, deductionId, anAct())).toEqual({ outcome: "not_settled" });
    await writeAsOlderWorker(stage, account);
    expect(await refund(stage.billing, deductionId, anAct())).toEqual({ outcome: "not_settled" });
    await addEntry(stage, account, olderFields(account, { deduction_id: "free", cost: "0" }));
    await settleAll(stage);
    expect(await refund(stage.billing, "free", anAct())).toMatchObject({ outcome: "exceeds", chargedNanos: 0n });
    await expect(refund(stage.billing, deductionId, anAct(), -1n)).rejects.toThrow(/more than zero/);
    await expect(refund(stage.billing, deductionId, anAct({ reason: "" }))).rejects.toThrow(/reason/);
    expect(await given()).toBeNull();
  });

  test("Rule 8: the refunds of a deduction whose id begins another's are its own", async () => {
    const account = await stage.account("100");
    for (const deduction_id of ["ded:1", "ded:1:2"])
      await addEntry(stage, account, olderFields(account, { deduction_id, cost: "1" }));
    await settleAll(stage);
    expect(await refund(stage.billing, "ded:1:2", anAct())).toMatchObject({ outcome: "refunded", refundedNanos: UNIT });
    expect(await refund(stage.billing, "ded:1", anAct())).toMatchObject({ outcome: "refunded", refundedNanos: UNIT });
  });
});
