import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { charge, chargeMany, parseUnits, readBalance, shardOf, streamKey } from "../src/index.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

describe("the journey of one deduction", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  test("Rule 1: the example of the replaced system — 100.00, cost 1.50 — stands in the entry and in usage_log as 100.000000000 and 98.500000000", async () => {
    const account = await stage.account("100.00");
    const outcome = await charge(stage.billing, aCharge(account, parseUnits("1.50")));
    expect(outcome).toMatchObject({
      outcome: "charged",
      balanceBeforeNanos: 100_000_000_000n,
      balanceAfterNanos: 98_500_000_000n,
    });

    const entries = await stage.billing.redis.xrange(streamKey(shardOf(account.id, 16)), "-", "+");
    const [opening, deduction] = entries.map(([, fields]) => Object.fromEntries(pairs(fields)));
    expect(opening).toMatchObject({
      kind: "credit",
      amount: "100.000000000",
      balance_before: "0.000000000",
      balance_after: "100.000000000",
      account_seq: "1",
    });
    expect(deduction).toMatchObject({
      account_id: account.id,
      account_owner_id: account.ownerId,
      cost: "1.500000000",
      balance_before: "100.000000000",
      balance_after: "98.500000000",
      account_seq: "2",
    });
    expect(deduction?.deduction_id).toMatch(/^ded_\d{13}_[0-9a-f]{20}$/);
    expect(new Date(deduction?.timestamp ?? "").getTime()).toBe(Number(deduction?.deduction_id?.split("_")[1]));

    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    const [row] = await stage.query(
      "SELECT balance_before, balance_after, cost, balance_check, account_seq, settled_at IS NOT NULL AS settled FROM data.usage_log WHERE account_id = $1",
      [account.id],
    );
    expect(row).toEqual({
      balance_before: "100.000000000",
      balance_after: "98.500000000",
      cost: "1.500000000",
      balance_check: "ok",
      account_seq: "2",
      settled: true,
    });
    const audit = await stage.query(
      "SELECT amount, balance_before, balance_after, account_seq, audit_category FROM data.account_balance_audit WHERE account_id = $1 ORDER BY account_seq",
      [account.id],
    );
    expect(audit).toEqual([
      {
        amount: "100.000000000",
        balance_before: "0.000000000",
        balance_after: "100.000000000",
        account_seq: "1",
        audit_category: "top_up",
      },
      {
        amount: "-1.500000000",
        balance_before: "100.000000000",
        balance_after: "98.500000000",
        account_seq: "2",
        audit_category: "usage",
      },
    ]);
    const [books] = await stage.query(
      "SELECT balance, total_debits, total_credits FROM data.account_balance WHERE id = $1",
      [account.id],
    );
    expect(books).toEqual({ balance: "98.500000000", total_debits: "1.500000000", total_credits: "100.000000000" });
  });

  test("Rule 2: of 200 concurrent charges against a balance for exactly 100 of them, 100 succeed, 100 are refused, and the balance is 0", async () => {
    const account = await stage.account("25");
    const outcomes = await chargeMany(
      stage.billing,
      Array.from({ length: 200 }, () => aCharge(account, 250_000_000n)),
    );
    expect(outcomes.filter((o) => o.outcome === "charged")).toHaveLength(100);
    expect(outcomes.filter((o) => o.outcome === "refused" && o.reason === "insufficient_balance")).toHaveLength(100);
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(0n);
  });

  test("Rule 3: the same request id 50 times at once makes one deduction and 50 equal answers", async () => {
    const account = await stage.account("10");
    const request = aCharge(account, 1_000_000_000n, { requestId: "same" });
    const outcomes = await chargeMany(
      stage.billing,
      Array.from({ length: 50 }, () => ({ ...request })),
    );
    const answers = new Set(
      outcomes.map((o) => ("deductionId" in o ? `${o.deductionId} ${o.balanceAfterNanos} ${o.accountSeq}` : o.outcome)),
    );
    expect(answers.size).toBe(1);
    expect(outcomes.filter((o) => o.outcome === "charged")).toHaveLength(1);
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(9_000_000_000n);
    const other = await charge(stage.billing, { ...request, digest: "e".repeat(64) });
    expect(other.outcome).toBe("conflict");
  });
});

function pairs(fields: string[]): [string, string][] {
  return fields.flatMap((field, i) => (i % 2 === 0 ? [[field, fields[i + 1] ?? ""] as [string, string]] : []));
}
