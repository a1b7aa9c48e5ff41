import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AccountRef,
  acceptBreak,
  applyCredit,
  charge,
  peekBalance,
  planRepair,
  readBalance,
  reconcile,
  repair,
  verifyChain,
} from "../src/index.ts";
import { balanceKeyOf, settleAllOf, settledAccountOf, streamOf, UNIT } from "./repair-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const act = { actor: "ann", role: "admin", reason: "seen in the log of the failover" };
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const settleAll = () => settleAllOf(stage);
const settledAccount = (charges?: number) => settledAccountOf(stage, charges);
const newestId = async (account: AccountRef) =>
  (await stage.billing.redis.xrevrange(streamOf(account), "+", "-", "COUNT", 1))[0]?.[0] ?? "";
const reportOf = async (account: AccountRef) =>
  (await verifyChain(stage.billing, { accountId: account.id })).reports[0];
const balanceOf = async (account: AccountRef) => (await peekBalance(stage.billing, account))?.balanceNanos;
const actionOf = async (id: string | null) =>
  (await stage.query("SELECT * FROM data.operator_action WHERE id = $1", [id]))[0];
const findingsOf = async (account: AccountRef) => (await reconcile(stage.billing, { account })).findings;

/** Redis gave seqs 5 and 6 again: what a promoted replica that lagged does unseen. */
async function forkedAccount(): Promise<AccountRef> {
  const account = await settledAccount();
  await stage.billing.redis.hset(balanceKeyOf(account), { b: "97000000000", d: "3000000000", q: "4" });
  for (let i = 0; i < 3; i++) await charge(stage.billing, aCharge(account, 2n * UNIT));
  await settleAll();
  return account;
}

/** The entry of the newest deduction (seq 7, of 2) is nowhere. */
async function gappedAccount(): Promise<AccountRef> {
  const account = await settledAccount();
  await charge(stage.billing, aCharge(account, 2n * UNIT));
  await stage.billing.redis.xdel(streamOf(account), await newestId(account));
  return account;
}

describe("accept", () => {
  test("Section 2: an accepted fork is shown for ever and no longer fails; its action has actor, reason and the exact seqs", async () => {
    const account = await forkedAccount();
    const outcome = await acceptBreak(stage.billing, { accountId: account.id, fromSeq: 5n, toSeq: 6n }, act);
    if (outcome.outcome !== "accepted") throw new Error(JSON.stringify(outcome));
    expect(await actionOf(outcome.operationId)).toMatchObject({
      ...act,
      action: "accept",
      targets: [`${account.id} fork 5-5`, `${account.id} fork 6-6`],
      finished_at: expect.any(Date),
    });
    const report = await reportOf(account);
    expect(report).toMatchObject({ ok: true, problems: [] });
    expect(report?.accepted).toMatchObject([
      { kind: "fork", fromSeq: "5", toSeq: "5", actor: "ann", reason: act.reason },
      { kind: "fork", fromSeq: "6", toSeq: "6" },
    ]);
    expect(await acceptBreak(stage.billing, { accountId: account.id, fromSeq: 5n, toSeq: 6n }, act)).toMatchObject({
      outcome: "already",
    });
    // A third link at an accepted seq is another fork.
    await stage.query(
      `INSERT INTO data.account_balance_audit (account_id, account_type, amount, audit_category, account_seq, balance_before, balance_after, kind)
       VALUES ($1, 'user', 0, 'adjustment', 6, 96, 95, 'repair')`,
      [account.id],
    );
    expect((await reportOf(account))?.problems).toMatchObject([{ kind: "fork", fromSeq: "6" }]);
  });

  test("Section 2: an accepted gap may shrink, and must not grow", async () => {
    const account = await settledAccount();
    const rows = await stage.query(
      "DELETE FROM data.account_balance_audit WHERE account_id = $1 AND account_seq IN (3, 4) RETURNING *",
      [account.id],
    );
    await stage.query("DELETE FROM data.usage_log WHERE account_id = $1 AND account_seq IN (3, 4)", [account.id]);
    await stage.query(
      "UPDATE data.account_balance SET balance = balance + 2, total_debits = total_debits - 2 WHERE id = $1",
      [account.id],
    );
    expect((await acceptBreak(stage.billing, { accountId: account.id, fromSeq: 3n, toSeq: 4n }, act)).outcome).toBe(
      "accepted",
    );
    expect(await reportOf(account)).toMatchObject({ ok: true, accepted: [{ kind: "gap", fromSeq: "3", toSeq: "4" }] });
    await stage.query("DELETE FROM data.account_balance_audit WHERE account_id = $1 AND account_seq = 5", [account.id]);
    expect((await reportOf(account))?.problems.map(({ kind, fromSeq, toSeq }) => [kind, fromSeq, toSeq])).toEqual([
      ["gap", "3", "5"],
      ["usage_row", "5", "5"],
    ]);
    expect(rows).toHaveLength(2);
  });

  test("Section 2: what is no real break is refused: sound seqs, seqs on their way, half of a gap, a wrong row, no account, no reason", async () => {
    const refused = async (account: { id: string }, fromSeq: bigint, toSeq: bigint) => {
      const outcome = await acceptBreak(stage.billing, { accountId: account.id, fromSeq, toSeq }, act);
      return outcome.outcome === "refused" ? outcome.why : outcome.outcome;
    };
    const sound = await settledAccount();
    await charge(stage.billing, aCharge(sound, UNIT));
    expect(await refused(sound, 3n, 3n)).toBe("no_break");
    expect(await refused(sound, 7n, 7n)).toBe("no_break");
    const forked = await forkedAccount();
    expect(await refused(forked, 5n, 7n)).toBe("no_break");
    expect(await refused(forked, 4n, 6n)).toBe("no_break");
    const gapped = await settledAccount();
    await stage.query("DELETE FROM data.account_balance_audit WHERE account_id = $1 AND account_seq IN (3, 4)", [
      gapped.id,
    ]);
    expect(await refused(gapped, 3n, 3n)).toBe("not_exact");
    const wrong = await settledAccount();
    await stage.query("UPDATE data.usage_log SET cost = 2 WHERE account_id = $1 AND account_seq = 3", [wrong.id]);
    expect(await refused(wrong, 3n, 3n)).toBe("no_break");
    expect(await refused({ id: "00000000-0000-4000-8000-000000000009" }, 1n, 1n)).toBe("unknown_account");
    const range = { accountId: forked.id, fromSeq: 5n, toSeq: 6n };
    await expect(acceptBreak(stage.billing, range, { ...act, reason: " " })).rejects.toMatchObject({
      code: "invalid_request",
    });
    expect(
      await stage.query("SELECT 1 FROM data.operator_action WHERE action = 'accept' AND targets->>0 LIKE $1", [
        `${forked.id}%`,
      ]),
    ).toEqual([]);
  });
});

describe("repair", () => {
  test("Section 2: a foreign write is undone by a link of its own; the dry run says so first and changes nothing", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hincrby(balanceKeyOf(account), "b", 7_000_000_000);
    const plan = await planRepair(stage.billing, account);
    expect(plan).toMatchObject({
      outcome: "repairable",
      class: "foreign_write",
      link: {
        seq: "7",
        balanceBefore: "95.000000000",
        balanceAfter: "95.000000000",
        amount: "0.000000000",
        gain: "-7.000000000",
      },
    });
    expect(await balanceOf(account)).toBe(102n * UNIT);
    expect(await stage.query("SELECT 1 FROM data.operator_action WHERE action = 'repair'")).toEqual([]);
    const outcome = await repair(stage.billing, account, act);
    expect(outcome).toMatchObject({ outcome: "repaired", link: { seq: "7" }, resumed: [] });
    expect(await balanceOf(account)).toBe(95n * UNIT);
    await settleAll();
    expect(await reportOf(account)).toMatchObject({
      ok: true,
      lastSeq: "7",
      repairs: [{ seq: "7", actor: "ann", reason: `repair ${outcome.operationId}: ${act.reason}` }],
    });
    expect(await findingsOf(account)).toEqual([]);
    expect(await actionOf(outcome.operationId)).toMatchObject({
      ...act,
      action: "repair",
      targets: [account.id],
      before: { class: "foreign_write", figures: { redis: { balance: "102.000000000" } } },
      result: { outcome: "repaired", link: { seq: "7" } },
      finished_at: expect.any(Date),
    });
    expect(await repair(stage.billing, account, act)).toMatchObject({
      outcome: "unchanged",
      operationId: null,
      plan: { outcome: "nothing" },
    });
    expect((await charge(stage.billing, aCharge(account, UNIT))).outcome).toBe("charged");
  });

  test("Section 2: a foreign write that later charges built upon, downwards too: the books explain what is given back", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hincrby(balanceKeyOf(account), "b", -7_000_000_000);
    await charge(stage.billing, aCharge(account, UNIT));
    const outcome = await repair(stage.billing, account, act);
    expect(outcome).toMatchObject({
      outcome: "repaired",
      plan: { link: { amount: "7.000000000", gain: "7.000000000" } },
    });
    expect(await balanceOf(account)).toBe(94n * UNIT);
    await settleAll();
    expect(await findingsOf(account)).toEqual([]);
    expect((await reportOf(account))?.problems.map(({ kind, fromSeq }) => [kind, fromSeq])).toEqual([
      ["mismatch", "7"],
    ]);
    expect((await acceptBreak(stage.billing, { accountId: account.id, fromSeq: 7n, toSeq: 7n }, act)).outcome).toBe(
      "accepted",
    );
    expect((await reportOf(account))?.ok).toBe(true);
  });

  test("Section 2: after a fork both branches are paid for, and the account is never above its books", async () => {
    const account = await forkedAccount();
    expect(await balanceOf(account)).toBe(91n * UNIT);
    expect(await repair(stage.billing, account, act)).toMatchObject({
      outcome: "repaired",
      plan: { class: "fork", link: { gain: "-2.000000000" } },
    });
    expect(await balanceOf(account)).toBe(89n * UNIT);
    await settleAll();
    expect(await findingsOf(account)).toEqual([]);
    expect((await reportOf(account))?.problems.map(({ kind }) => kind)).toEqual(["fork", "fork"]);
  });

  test("Section 2: an account behind the books is brought up to date, after the books' last link", async () => {
    const account = await settledAccount();
    await stage.query("SELECT data.post_credit($1, 10, 'top_up', NULL, 'test', 'test')", [account.id]);
    await applyCredit(stage.billing, account.id);
    await settleAll();
    await stage.billing.redis.hset(balanceKeyOf(account), { b: "97000000000", d: "3000000000", q: "4", v: "1" });
    // A second credit that Redis never had, and the first, which it has forgotten.
    await stage.query("SELECT data.post_credit($1, 20, 'top_up', NULL, 'test', 'test')", [account.id]);
    expect(await repair(stage.billing, account, act)).toMatchObject({
      outcome: "repaired",
      plan: { class: "redis_lost_state" },
      link: { seq: "8", balanceBefore: "105.000000000", balanceAfter: "105.000000000" },
    });
    await applyCredit(stage.billing, account.id);
    expect(await balanceOf(account)).toBe(125n * UNIT);
    await settleAll();
    expect(await findingsOf(account)).toEqual([]);
    expect(await reportOf(account)).toMatchObject({ ok: true, lastSeq: "9" });
  });

  test("Section 2: an account behind the books whose credit was not lost comes back to the nano, and its chain is whole", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hset(balanceKeyOf(account), { b: "97000000000", d: "3000000000", q: "4" });
    expect(await repair(stage.billing, account, act)).toMatchObject({
      outcome: "repaired",
      plan: { link: { gain: "-2.000000000" } },
    });
    expect(await balanceOf(account)).toBe(95n * UNIT);
    await settleAll();
    expect(await reportOf(account)).toMatchObject({ ok: true, repairs: [{ seq: "7" }] });
  });

  test("Section 2: never in the customer's favour where a link is missing, unless the gap was accepted", async () => {
    const account = await gappedAccount();
    const refused = await repair(stage.billing, account, act);
    expect(refused).toMatchObject({
      outcome: "unchanged",
      operationId: null,
      plan: { outcome: "refused", link: { gain: "2.000000000" } },
    });
    expect(refused.plan.message).toContain("link 7 is neither in the books nor on the way");
    expect(await balanceOf(account)).toBe(93n * UNIT);
    expect((await acceptBreak(stage.billing, { accountId: account.id, fromSeq: 7n, toSeq: 7n }, act)).outcome).toBe(
      "accepted",
    );
    expect(await findingsOf(account)).toMatchObject([{ class: "redis_lost_state" }]);
    expect((await repair(stage.billing, account, act)).outcome).toBe("repaired");
    expect(await balanceOf(account)).toBe(95n * UNIT);
    await settleAll();
    expect(await findingsOf(account)).toEqual([]);
    expect(await reportOf(account)).toMatchObject({
      ok: true,
      accepted: [{ kind: "gap", fromSeq: "7" }],
      repairs: [{ seq: "8" }],
    });
  });

  test("Section 2: books that contradict themselves are no ground for a repair", async () => {
    const account = await settledAccount();
    await stage.query(
      "UPDATE data.account_balance SET balance = balance - 1, total_debits = total_debits + 1 WHERE id = $1",
      [account.id],
    );
    expect((await repair(stage.billing, account, act)).plan).toMatchObject({
      outcome: "refused",
      message: expect.stringContaining("total_debits"),
    });
    expect(await balanceOf(account)).toBe(95n * UNIT);
  });

  test("Section 2: Redis goes back to the credits of a Postgres that went back", async () => {
    const account = await settledAccount(1);
    await stage.query("SELECT data.post_credit($1, 5, 'top_up', NULL, 'test', 'test')", [account.id]);
    await applyCredit(stage.billing, account.id);
    await settleAll();
    await stage.query("ALTER TABLE data.account_balance DISABLE TRIGGER USER");
    await stage.query("UPDATE data.account_balance SET balance = balance - 5, credits_version = 1 WHERE id = $1", [
      account.id,
    ]);
    await stage.query("DELETE FROM data.account_balance_audit WHERE account_id = $1 AND credits_version = 2", [
      account.id,
    ]);
    await stage.query("ALTER TABLE data.account_balance ENABLE TRIGGER USER");
    expect(await repair(stage.billing, account, act)).toMatchObject({
      outcome: "repaired",
      plan: { class: "postgres_went_back" },
    });
    expect(await peekBalance(stage.billing, account)).toMatchObject({ balanceNanos: 99n * UNIT, creditsVersion: 1n });
    expect(await findingsOf(account)).toEqual([]);
  });

  test("Section 2: what can never settle is written off: its cost is given back, once, and the chain stays whole", async () => {
    const account = await settledAccount(1);
    const outcome = await charge(stage.billing, aCharge(account, 4n * UNIT));
    if (outcome.outcome !== "charged") throw new Error(outcome.outcome);
    // As if the worker had found that it fails alone with a data error.
    await stage.billing.redis.xreadgroup(
      "GROUP",
      "billing_workers",
      "worker-1",
      "COUNT",
      100,
      "STREAMS",
      streamOf(account),
      ">",
    );
    const entryId = await newestId(account);
    const [letter] = await stage.query<{ id: string }>(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, deduction_id, account_id, cost, account_seq, balance_before, balance_after,
           error_class, error_message)
       VALUES ($2, $3, '\\x00', '{}', $4, $1, 4, 3, 99, 95, '23514', 'test') RETURNING id`,
      [account.id, streamOf(account), entryId, outcome.deductionId],
    );
    await stage.billing.redis.xack(streamOf(account), "billing_workers", entryId);
    await charge(stage.billing, aCharge(account, UNIT));
    const worker = stage.worker();
    await stage.drained(); // and not proven: the proven mark is before the letter's entry when it is written off
    await worker.stop();
    expect(await reportOf(account)).toMatchObject({
      ok: true,
      open: { dead_lettered: { links: 1, amount: "-4.000000000" } },
    });
    const writeOff = [letter?.id ?? ""];
    expect(await planRepair(stage.billing, account, { writeOff })).toMatchObject({
      outcome: "repairable",
      writeOff: [{ deductionId: outcome.deductionId, cost: "4.000000000" }],
      link: { seq: "5", amount: "4.000000000", gain: "4.000000000" },
    });
    expect((await repair(stage.billing, account, act, { writeOff })).outcome).toBe("repaired");
    expect(await balanceOf(account)).toBe(98n * UNIT);
    await settleAll();
    expect(await findingsOf(account)).toEqual([]);
    expect(await reportOf(account)).toMatchObject({
      ok: true,
      problems: [],
      open: { written_off: { links: 1, amount: "-4.000000000" } },
      repairs: [{ seq: "5" }],
    });
    await expect(repair(stage.billing, account, act, { writeOff })).rejects.toMatchObject({ code: "invalid_request" });
    await stage.billing.redis.del(balanceKeyOf(account));
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(98n * UNIT);
  });

  test("8: one act asked for twice at once is one repair: the second is answered `repeated` with the same link, and so is a third later", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hincrby(balanceKeyOf(account), "b", 5_000_000_000);
    const once = { ...act, id: randomUUID() };
    const both = await Promise.all([1, 2].map(() => repair(stage.billing, account, once)));
    const third = await repair(stage.billing, account, once);
    expect(both.map(({ outcome }) => outcome).toSorted()).toEqual(["repaired", "repeated"]);
    expect(third).toMatchObject({ outcome: "repeated", operationId: once.id, plan: { outcome: "nothing" } });
    for (const { link } of [...both, third]) expect(link).toEqual(both[0]?.link);
    expect(both[0]?.link).not.toBeNull();
    const other = await settledAccount();
    await expect(repair(stage.billing, other, once)).rejects.toMatchObject({ code: "invalid_request" });
  });
});
