import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { charge, giveCredit, listOperations, peekBalance } from "../src/index.ts";
import { anAct, settleAll, UNIT } from "./replay-stage.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const credits = async () =>
  await stage.query("SELECT amount, reason, actor, reference FROM data.account_balance_audit WHERE kind = 'credit'");
const acts = () => listOperations(stage.billing.query, { action: "credit" });

describe("a credit that an operator gives", () => {
  test("Rule 8: it is on record with actor, role, reason, both balances and its audit row, and reaches Redis as a link", async () => {
    const account = await stage.account("100");
    await charge(stage.billing, aCharge(account, UNIT));
    await settleAll(stage);
    const credit = { accountId: account.id, amountNanos: 5n * UNIT, category: "top_up" as const };
    const outcome = await giveCredit(stage.billing, credit, anAct({ actor: "ann", reason: "paid by wire" }));
    const [act, ...more] = await acts();
    expect(more).toEqual([]);
    expect(outcome).toMatchObject({ outcome: "credited", operationId: act?.id, balance: "104.000000000" });
    expect(act).toMatchObject({
      actor: "ann",
      role: "admin",
      reason: "paid by wire",
      state: "done",
      before: { balance: "99.000000000", total_credits: "100.000000000" },
      after: { balance: "104.000000000", total_credits: "105.000000000" },
      result: { amount: "5.000000000", category: "top_up", reference: null },
    });
    await settleAll(stage);
    expect((await peekBalance(stage.billing, account))?.balanceNanos).toBe(104n * UNIT);
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Rule 8: ten at once with one reference, and again after its link is settled, are one credit and one act", async () => {
    const account = await stage.account("100");
    const credit = { accountId: account.id, amountNanos: UNIT, category: "top_up" as const, reference: "invoice 7" };
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => giveCredit(stage.billing, credit, anAct())));
    const count = (word: string) => outcomes.filter(({ outcome }) => outcome === word).length;
    expect([count("credited"), count("repeated")]).toEqual([1, 9]);
    await charge(stage.billing, aCharge(account, UNIT));
    await settleAll(stage);
    const again = await giveCredit(stage.billing, credit, anAct());
    const [act, ...more] = await acts();
    expect([again, ...outcomes].map((one) => "operationId" in one && one.operationId)).toEqual(
      Array.from({ length: 11 }, () => act?.id),
    );
    expect(more).toEqual([]);
    expect((await credits()).filter(({ reference }) => reference === "invoice 7")).toHaveLength(1);
  });

  test("Rule 8: the same act asked for again, by its id, happens once", async () => {
    const account = await stage.account("100");
    const act = anAct({ id: crypto.randomUUID() });
    const credit = { accountId: account.id, amountNanos: UNIT, category: "top_up" as const };
    expect(await giveCredit(stage.billing, credit, act)).toMatchObject({ outcome: "credited", operationId: act.id });
    expect(await giveCredit(stage.billing, credit, act)).toMatchObject({ outcome: "repeated", operationId: act.id });
    const other = await giveCredit(stage.billing, { ...credit, reference: "invoice 9" }, act);
    expect(other).toMatchObject({ outcome: "repeated", operationId: act.id, reference: null });
    expect(await credits()).toHaveLength(2); // and the opening one
  });

  test("Rule 8: five at once with one act's id are one credit", async () => {
    const account = await stage.account("100");
    const act = anAct({ id: crypto.randomUUID() });
    const credit = { accountId: account.id, amountNanos: UNIT, category: "top_up" as const };
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => giveCredit(stage.billing, credit, act)));
    expect(outcomes.filter(({ outcome }) => outcome === "credited")).toHaveLength(1);
    expect(new Set(outcomes.map((one) => "operationId" in one && one.operationId))).toEqual(new Set([act.id]));
    expect(await credits()).toHaveLength(2);
  });

  test("Rule 8: what is refused leaves neither a credit nor an act", async () => {
    const account = await stage.account("100");
    const credit = { accountId: account.id, amountNanos: UNIT, category: "top_up" as const };
    const reasonOf = async (more: object) => {
      const outcome = await giveCredit(stage.billing, { ...credit, ...more }, anAct());
      return outcome.outcome === "refused" ? outcome.reason : outcome.outcome;
    };
    expect(await reasonOf({ amountNanos: 0n })).toBe("invalid_amount");
    expect(await reasonOf({ amountNanos: -UNIT })).toBe("invalid_amount");
    expect(await reasonOf({ accountId: crypto.randomUUID() })).toBe("unknown_account");
    expect(await reasonOf({ reference: "x".repeat(513) })).toBe("invalid_credit");
    expect(await reasonOf({ amountNanos: 9_000_000_000n * UNIT })).toBe("too_much");
    expect(await acts()).toEqual([]);
    expect(await reasonOf({ reference: "invoice 8" })).toBe("credited");
    expect(await reasonOf({ reference: "invoice 8", amountNanos: 2n * UNIT })).toBe("reference_conflict");
    await expect(giveCredit(stage.billing, credit, anAct({ reason: " " }))).rejects.toThrow(/reason/);
    expect(await acts()).toHaveLength(1);
    expect(await credits()).toHaveLength(2);
  });
});
