import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Billing,
  type ChargeOutcome,
  charge,
  loadAccount,
  peekBalance,
  readBalance,
  shardOf,
} from "../src/index.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

describe("loading a cold account", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  const keyOf = (account: { id: string; ownerId: string; type: string }) =>
    `balance:{stream:deductions:${shardOf(account.id, 16)}}:${account.type}:${account.ownerId}`;
  const del = async (billing: Billing, account: { id: string; ownerId: string; type: string }) => {
    expect(await billing.redis.del(keyOf(account))).toBe(1);
  };
  const settleAll = async () => {
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
  };

  test("Section 2: after a hand-made DEL with the worker stopped the next charge sees the right balance", async () => {
    const account = await stage.account("100");
    for (let i = 0; i < 5; i++) await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await del(stage.billing, account);
    const outcome = await charge(stage.billing, aCharge(account, 1_000_000_000n));
    expect(outcome).toMatchObject({
      outcome: "charged",
      balanceBeforeNanos: 95_000_000_000n,
      balanceAfterNanos: 94_000_000_000n,
      accountSeq: 7n,
    });
    await settleAll();
    await del(stage.billing, account);
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(94_000_000_000n);
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Section 2: part settled, part in the stream, part dead-lettered: all of it counts, once", async () => {
    const account = await stage.account("100");
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await settleAll();
    await charge(stage.billing, aCharge(account, 2_000_000_000n));
    await stage.query(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, deduction_id, account_id, cost, account_seq, error_class, error_message, attempts)
       VALUES ('stream:deductions:0', '1-1', '\\x00', '{}', 'ded_dead', $1, 4, 2, 'test', 'test', 1)`,
      [account.id],
    );
    await del(stage.billing, account);
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(93_000_000_000n);
  });

  test("Section 2: the first link of an account is its opening credit, from 0", async () => {
    const account = await stage.account("0", { type: "tenant" });
    await readBalance(stage.billing, account);
    await settleAll();
    const links = await stage.query(
      "SELECT amount, balance_before, balance_after, account_seq FROM data.account_balance_audit WHERE account_id = $1",
      [account.id],
    );
    expect(links).toEqual([
      { amount: "0.000000000", balance_before: "0.000000000", balance_after: "0.000000000", account_seq: "1" },
    ]);
  });

  test("Section 2: two gateways load one account while a third's charge, a top-up and a DEL fall in between: nothing given away, nothing taken twice", async () => {
    for (const point of ["load.collected", "load.read"] as const) {
      const account = await stage.account("100");
      await charge(stage.billing, aCharge(account, 1_000_000_000n));
      await del(stage.billing, account);
      // The first gateway is held at the observed point by what it is about to do next: everything else happens meanwhile.
      const third = await stage.another();
      let meddled: Promise<unknown> | undefined;
      const meddle = async () => {
        await charge(third, aCharge(account, 2_000_000_000n));
        await stage.query("UPDATE data.account_balance SET balance = balance + 10 WHERE id = $1", [account.id]);
        await del(third, account);
        await Promise.all([loadAccount(third, account), charge(third, aCharge(account, 3_000_000_000n))]);
      };
      const first = await stage.another({
        observe: (seen, detail) => {
          if (seen === point && detail?.account === account.id) meddled ??= meddle();
        },
      });
      const second = await stage.another();
      await Promise.all([
        charge(first, aCharge(account, 4_000_000_000n)),
        charge(second, aCharge(account, 5_000_000_000n)),
      ]);
      await meddled;
      await settleAll();
      expect((await readBalance(stage.billing, account))?.balanceNanos, point).toBe(95_000_000_000n);
      expect(await chainProblems(stage, account), point).toEqual([]);
    }
  });

  test("Section 2: an account is loaded while charges of it go on, DEL after DEL", async () => {
    const account = await stage.account("1000");
    const worker = stage.worker();
    const outcomes: ChargeOutcome[] = [];
    const lane = async () => {
      for (let i = 0; i < 50; i++) {
        outcomes.push(await charge(stage.billing, aCharge(account, 1_000_000_000n)));
        if (outcomes.length % 20 === 0) await stage.billing.redis.del(keyOf(account));
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    expect(outcomes).toHaveLength(400);
    expect(outcomes.every((outcome) => outcome.outcome === "charged")).toBe(true);
    await stage.atRest();
    await worker.stop();
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(600_000_000_000n);
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("an account that Postgres does not have is unknown, not empty", async () => {
    const account = {
      id: "00000000-0000-4000-8000-000000000000",
      ownerId: "00000000-0000-4000-8000-000000000001",
      type: "user" as const,
      currency: "USD",
    };
    expect(await charge(stage.billing, aCharge(account, 1n))).toEqual({ outcome: "unknown_account" });
    expect(await readBalance(stage.billing, account)).toBeUndefined();
    expect(await peekBalance(stage.billing, account)).toBeUndefined();
  });
});
