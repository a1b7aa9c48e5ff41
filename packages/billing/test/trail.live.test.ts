import { everyRow, type TrailFilters } from "@drawdown/db";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AccountRef, acceptBreak, charge, proveAll, readTrail, type TrailRow, verifyChain } from "../src/index.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;
let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

async function settleAll(): Promise<void> {
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  await proveAll(stage.billing);
}

/** Opening credit (seq 1) and 5 deductions of 1, settled. */
async function settledAccount(): Promise<AccountRef> {
  const account = await stage.account("100");
  for (let i = 0; i < 5; i++) await charge(stage.billing, aCharge(account, UNIT));
  await settleAll();
  return account;
}

async function trailOf(account: AccountRef, filters: TrailFilters = {}, limit = 2): Promise<TrailRow[]> {
  const rows: TrailRow[] = [];
  const list = (request: Parameters<typeof readTrail>[3]) =>
    readTrail(stage.billing, account.id, filters, { ...request, limit });
  for await (const row of everyRow(list, "oldest")) rows.push(row);
  return rows;
}

const breaksOf = (rows: readonly TrailRow[]) =>
  rows.flatMap(({ seq, problems }) =>
    problems.map((one) => `${seq}: ${one.kind} ${one.fromSeq}..${one.toSeq}${one.accepted ? " accepted" : ""}`),
  );

/** What verify-chain says of links, without what it says of totals and of Redis. */
async function verified(account: AccountRef): Promise<string[]> {
  const [report] = (await verifyChain(stage.billing, { accountId: account.id })).reports;
  const ofLinks = new Set(["gap", "fork", "mismatch", "first_link", "wrong_step", "usage_row"]);
  return (report?.problems ?? [])
    .filter(({ kind }) => ofLinks.has(kind))
    .map(({ message }) => message)
    .toSorted();
}

async function agrees(account: AccountRef): Promise<string[]> {
  const rows = await trailOf(account);
  const said = new Set(rows.flatMap(({ problems }) => problems.map(({ message }) => message)));
  expect([...said].toSorted()).toEqual(await verified(account));
  return breaksOf(rows);
}

const onLink = (account: AccountRef, seq: number, sql: string) =>
  stage.query(`${sql} WHERE account_id = $1 AND account_seq = ${seq}`, [account.id]);

describe("Section 7: the trail draws in place what verify-chain finds", () => {
  test("a sound chain: charges and credits in one list, several credits under one link", async () => {
    const account = await settledAccount();
    for (const amount of [10, 20, 30])
      await stage.query("SELECT data.post_credit($1, $2, 'top_up', NULL, 'a reason', 'an actor')", [
        account.id,
        amount,
      ]);
    const listener = stage.listener();
    await settleAll();
    await listener.stop();
    const rows = await trailOf(account);
    expect(await agrees(account)).toEqual([]);
    expect(rows.slice(0, 6).map(({ seq, kind, amount }) => `${seq} ${kind} ${amount}`)).toEqual([
      "1 credit 100.000000000",
      ...[2, 3, 4, 5, 6].map((seq) => `${seq} usage -1.000000000`),
    ]);
    const credits = rows.slice(6);
    const given = credits.flatMap((row) => [row.amount, ...row.covered.map(({ amount }) => amount)]);
    expect(given.toSorted()).toEqual(["10.000000000", "20.000000000", "30.000000000"]);
    expect(credits.at(-1)).toMatchObject({ balanceAfter: "155.000000000", reason: "a reason", actor: "an actor" });
    expect(rows[1]?.usage).toMatchObject({
      model: "gpt-4o",
      virtualKey: "vk_test",
      inputTokens: "10",
      balanceCheck: "ok",
    });
    expect((await trailOf(account, { category: "usage" })).map(({ seq }) => seq)).toEqual(["2", "3", "4", "5", "6"]);
    expect((await trailOf(account, { model: "gpt-4o" })).length).toBe(5);
    expect((await trailOf(account, { virtualKey: "another" })).length).toBe(0);
  });

  test("a gap, and once it is accepted by whom", async () => {
    const account = await settledAccount();
    await onLink(account, 3, "DELETE FROM data.account_balance_audit");
    await onLink(account, 3, "DELETE FROM data.usage_log");
    await onLink(account, 4, "DELETE FROM data.account_balance_audit");
    await onLink(account, 4, "DELETE FROM data.usage_log");
    for (let shard = 0; shard < 16; shard++) await stage.billing.redis.xtrim(`stream:deductions:${shard}`, "MAXLEN", 0);
    expect(await agrees(account)).toEqual(["5: gap 3..4"]);
    const act = { actor: "ada", role: "admin", reason: "known" };
    await acceptBreak(stage.billing, { accountId: account.id, fromSeq: 3n, toSeq: 4n }, act);
    const rows = await trailOf(account);
    expect(breaksOf(rows)).toEqual(["5: gap 3..4 accepted"]);
    expect(rows.find(({ seq }) => seq === "5")?.problems[0]?.accepted).toMatchObject({ actor: "ada", reason: "known" });
  });

  test("a link that is on its way is no gap, and stands where it belongs", async () => {
    const account = await settledAccount();
    const [link] = await stage.query<{ deduction_id: string }>(
      "SELECT deduction_id FROM data.usage_log WHERE account_id = $1 AND account_seq = 4",
      [account.id],
    );
    await stage.query(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, deduction_id, account_id, cost, account_seq, balance_before, balance_after, error_class, error_message)
       SELECT stream_key, stream_entry_id, '', deduction_id, account_id::text, cost, account_seq, balance_before, balance_after, 'test', 'test'
         FROM data.usage_log WHERE deduction_id = $1`,
      [link?.deduction_id],
    );
    await onLink(account, 4, "DELETE FROM data.account_balance_audit");
    await onLink(account, 4, "DELETE FROM data.usage_log");
    const rows = await trailOf(account);
    expect(breaksOf(rows)).toEqual([]);
    expect(rows.find(({ seq }) => seq === "5")?.waiting).toMatchObject([
      { seq: "4", name: link?.deduction_id, standing: "dead_lettered", amount: "-1.000000000" },
    ]);
  });

  test("a fork, a mismatch, a wrong step, a credit that is not its amounts, a row that differs", async () => {
    const account = await settledAccount();
    await onLink(
      account,
      5,
      "UPDATE data.account_balance_audit SET balance_before = balance_before + 1, balance_after = balance_after + 1",
    );
    expect(await agrees(account)).toEqual(["5: mismatch 5..5", "5: usage_row 5..5", "6: mismatch 6..6"]);
    const other = await settledAccount();
    await onLink(other, 3, "UPDATE data.account_balance_audit SET balance_after = balance_after - 1");
    expect((await agrees(other)).toSorted()).toEqual(["3: usage_row 3..3", "3: wrong_step 3..3", "4: mismatch 4..4"]);
    const third = await settledAccount();
    await onLink(third, 5, "UPDATE data.account_balance_audit SET account_seq = 4");
    expect((await agrees(third)).some((one) => one.startsWith("4: fork"))).toBe(true);
    const fourth = await settledAccount();
    await onLink(fourth, 1, "UPDATE data.account_balance_audit SET amount = 99");
    expect((await agrees(fourth)).some((one) => one.startsWith("1: wrong_step"))).toBe(true);
  });
});
