import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AccountRef, charge, proveAll, shardOf, streamKey, verifyChain } from "../src/index.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;
let stage: Stage;
/** Every account that a test broke: all of them, and no other, are found by a run over all. */
const broken = new Map<string, string[]>();

let sound: AccountRef;

beforeAll(async () => {
  stage = await openStage();
  sound = await settledAccount();
});
afterAll(() => stage.close());

async function settleAll(): Promise<void> {
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  await proveAll(stage.billing); // what is deleted from the books after this is no longer found in the stream
}

/** Opening credit (seq 1) and `charges` deductions of 1, settled. */
async function settledAccount(charges = 5): Promise<AccountRef> {
  const account = await stage.account("100");
  for (let i = 0; i < charges; i++) await charge(stage.billing, aCharge(account, UNIT));
  await settleAll();
  return account;
}

async function reportOf(account: AccountRef) {
  const verification = await verifyChain(stage.billing, { accountId: account.id });
  const [report] = verification.reports;
  if (!report) throw new Error("no report");
  expect(verification.ok).toBe(report.ok);
  return report;
}

async function problemsOf(account: AccountRef): Promise<string[]> {
  const { problems } = await reportOf(account);
  const kinds = problems.map(({ kind, fromSeq, toSeq }) => `${kind} ${fromSeq ?? "-"}..${toSeq ?? "-"}`).toSorted();
  if (kinds.length > 0) broken.set(account.id, kinds);
  return kinds;
}

const balanceKeyOf = (account: AccountRef) =>
  `balance:{${streamKey(shardOf(account.id, 16))}}:${account.type}:${account.ownerId}`;

const onLink = (account: AccountRef, seq: number, set: string) =>
  stage.query(`UPDATE data.account_balance_audit SET ${set} WHERE account_id = $1 AND account_seq = $2`, [
    account.id,
    seq,
  ]);

describe("verify-chain finds and names", () => {
  test("Section 2: nothing in a chain of credits, charges, a loaded account and several credits in one link", async () => {
    const account = await settledAccount();
    for (const amount of [10, 20, 30])
      await stage.query("SELECT data.post_credit($1, $2, 'top_up', NULL, 'test', 'test')", [account.id, amount]);
    const listener = stage.listener();
    await settleAll();
    await listener.stop();
    await charge(stage.billing, aCharge(account, UNIT));
    await stage.billing.redis.del(balanceKeyOf(account));
    await charge(stage.billing, aCharge(account, UNIT));
    expect(await problemsOf(account)).toEqual([]); // with two links in flight
    expect((await reportOf(account)).open).toEqual({ unread: { links: 2, amount: "-2.000000000" } });
    await settleAll();
    expect(await reportOf(account)).toMatchObject({
      ok: true,
      problems: [],
      open: {},
      redis: { state: "loaded", balance: "153.000000000" },
    });
  });

  test("Section 2: a gap: a link that is neither in the books nor on the way", async () => {
    const account = await settledAccount();
    await stage.query("DELETE FROM data.account_balance_audit WHERE account_id = $1 AND account_seq IN (3, 4)", [
      account.id,
    ]);
    // Without their usage_log rows, as if they had never been: else those say that links are missing, too.
    await stage.query("DELETE FROM data.usage_log WHERE account_id = $1 AND account_seq IN (3, 4)", [account.id]);
    expect(await problemsOf(account)).toEqual(["gap 3..4", "total_debits -..-"]);
  });

  test("Section 2: a gap at the end: the newest link is nowhere", async () => {
    const account = await settledAccount();
    const { redis } = stage.billing;
    await charge(stage.billing, aCharge(account, UNIT));
    const key = streamKey(shardOf(account.id, 16));
    const [newest] = await redis.xrevrange(key, "+", "-", "COUNT", 1);
    await redis.xdel(key, newest?.[0] ?? "");
    expect(await problemsOf(account)).toEqual(["gap 7..7"]);
  });

  test("Section 2: a fork: a seq given twice, each branch sound", async () => {
    const account = await settledAccount();
    // Redis goes back to seq 4 unseen, and gives seqs 5 and 6 again.
    await stage.billing.redis.hset(balanceKeyOf(account), { b: "97000000000", d: "3000000000", q: "4" });
    for (let i = 0; i < 3; i++) await charge(stage.billing, aCharge(account, 2n * UNIT));
    await settleAll();
    expect(await problemsOf(account)).toEqual(["fork 5..5", "fork 6..6"]);
    const { problems } = await reportOf(account);
    expect(problems[0]?.links).toHaveLength(2);
  });

  test("Section 2: a mismatch: a link that does not start where the one before ends", async () => {
    const account = await settledAccount();
    // Both of the link's rows, so that it is a sound deduction by itself.
    await onLink(account, 4, "balance_before = balance_before + 1, balance_after = balance_after + 1");
    await stage.query(
      "UPDATE data.usage_log SET balance_before = balance_before + 1, balance_after = balance_after + 1 WHERE account_id = $1 AND account_seq = 4",
      [account.id],
    );
    expect(await problemsOf(account)).toEqual(["mismatch 4..4", "mismatch 5..5"]);
  });

  test("Section 2: a wrong step of a deduction, by one nano", async () => {
    const account = await settledAccount();
    await onLink(account, 6, "balance_after = balance_after + 0.000000001");
    await stage.query(
      "UPDATE data.usage_log SET balance_after = balance_after + 0.000000001 WHERE account_id = $1 AND account_seq = 6",
      [account.id],
    );
    expect(await problemsOf(account)).toEqual(["redis_end 6..6", "wrong_step 6..6"]);
  });

  test("Section 2: a wrong step of a credit: not the sum of the amounts since the version of the link before", async () => {
    const account = await settledAccount(1);
    for (const amount of [10, 20])
      await stage.query("SELECT data.post_credit($1, $2, 'top_up', NULL, 'test', 'test')", [account.id, amount]);
    const listener = stage.listener();
    await settleAll();
    await listener.stop();
    expect(await problemsOf(account)).toEqual([]);
    // 1 moves from the covered version's amount to the opening's: the total stays, the steps do not.
    const move =
      "UPDATE data.account_balance_audit SET amount = amount + $2 WHERE account_id = $1 AND credits_version = $3";
    await stage.query(move, [account.id, 1, 1]);
    await stage.query(move, [account.id, -1, 2]);
    expect(await problemsOf(account)).toEqual(["wrong_step 1..1", "wrong_step 3..3"]);
  });

  test("Section 2: a deleted usage_log row", async () => {
    const account = await settledAccount();
    await stage.query("DELETE FROM data.usage_log WHERE account_id = $1 AND account_seq = 3", [account.id]);
    expect(await problemsOf(account)).toEqual(["total_debits -..-", "usage_row 3..3"]);
    expect((await reportOf(account)).problems[0]?.message).toContain("its usage_log row is gone");
  });

  test("Section 2: a deleted usage_log row whose entry is still in the stream is unaccounted, and no fork", async () => {
    const account = await stage.account("100");
    await charge(stage.billing, aCharge(account, UNIT));
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    await stage.query("DELETE FROM data.usage_log WHERE account_id = $1", [account.id]);
    expect(await problemsOf(account)).toEqual(["total_debits -..-", "unaccounted 2..2", "usage_row 2..2"]);
  });

  test("Section 2: a usage_log row that says another cost, and an audit row that is gone", async () => {
    const account = await settledAccount();
    await stage.query("UPDATE data.usage_log SET cost = 2 WHERE account_id = $1 AND account_seq = 3", [account.id]);
    expect(await problemsOf(account)).toEqual(["total_debits -..-", "usage_row 3..3"]);
    expect((await reportOf(account)).problems.find(({ kind }) => kind === "usage_row")?.message).toContain(
      "cost is 1.000000000 here and 2.000000000 in usage_log",
    );
    const other = await settledAccount();
    await stage.query("DELETE FROM data.account_balance_audit WHERE account_id = $1 AND account_seq = 4", [other.id]);
    expect(await problemsOf(other)).toEqual(["gap 4..4", "usage_row 4..4"]);
  });

  test("Section 2: both totals against their rows", async () => {
    const account = await settledAccount();
    await stage.query(
      "UPDATE data.account_balance SET balance = balance - 1, total_debits = total_debits + 1 WHERE id = $1",
      [account.id],
    );
    expect(await problemsOf(account)).toEqual(["total_debits -..-"]);
    const other = await settledAccount();
    await stage.query("ALTER TABLE data.account_balance DISABLE TRIGGER USER");
    await stage.query("UPDATE data.account_balance SET balance = balance + 1 WHERE id = $1", [other.id]);
    await stage.query("ALTER TABLE data.account_balance ENABLE TRIGGER USER");
    expect(await problemsOf(other)).toEqual(["total_credits -..-"]);
  });

  test("Section 2: a first link that does not start from 0", async () => {
    const account = await settledAccount();
    await onLink(account, 1, "balance_before = balance_before + 1");
    expect(await problemsOf(account)).toEqual(["first_link 1..1", "wrong_step 1..1"]);
    const other = await settledAccount();
    await stage.query(
      "UPDATE data.account_balance_audit SET account_seq = NULL WHERE account_id = $1 AND account_seq = 1",
      [other.id],
    );
    expect(await problemsOf(other)).toEqual(["gap 1..1"]);
  });

  test("Section 2: one nano added to the balance in Redis", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hincrby(balanceKeyOf(account), "b", 1);
    expect(await problemsOf(account)).toEqual(["redis_end 6..6"]);
  });

  test("Section 2: an account in Redis that is behind the books; links beyond what Redis shows are not judged", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hset(balanceKeyOf(account), { b: "97000000000", d: "3000000000", q: "4" });
    expect(await problemsOf(account)).toEqual(["redis_lost_state 5..6"]);
    // In a running system link 6 may be settled and link 5 not yet, both drawn after Redis was read.
    await stage.query("DELETE FROM data.account_balance_audit WHERE account_id = $1 AND account_seq = 5", [account.id]);
    expect(await problemsOf(account)).toEqual(["redis_lost_state 5..6", "usage_row 5..5"]);
  });

  test("Section 2: an account that is not in Redis is judged to its last link, and is sound", async () => {
    const account = await settledAccount();
    await stage.billing.redis.del(balanceKeyOf(account));
    expect(await reportOf(account)).toMatchObject({ ok: true, lastSeq: "6", links: 6, redis: { state: "absent" } });
  });
});

describe("verify-chain tells apart", () => {
  const key = (account: AccountRef) => streamKey(shardOf(account.id, 16));
  const readAs = (account: AccountRef, consumer: string) =>
    stage.billing.redis.xreadgroup("GROUP", "billing_workers", consumer, "COUNT", 100, "STREAMS", key(account), ">");
  const newestId = async (account: AccountRef) =>
    (await stage.billing.redis.xrevrange(key(account), "+", "-", "COUNT", 1))[0]?.[0] ?? "";

  test("Section 2: a row that an older worker wrote without moving the balance is half-settled, whether its entry is there or gone", async () => {
    const account = await settledAccount(2);
    const outcome = await charge(stage.billing, aCharge(account, UNIT));
    if (outcome.outcome !== "charged") throw new Error(outcome.outcome);
    await readAs(account, "older-worker");
    const insert = `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency)
      VALUES ($2, 'vk_test', $1, 'user', 'openai', 'gpt-4o', 1, 'USD')`;
    await stage.query(insert, [account.id, outcome.deductionId]);
    expect(await problemsOf(account), "still pending: on its way").toEqual([]);
    await stage.billing.redis.xack(key(account), "billing_workers", await newestId(account));
    expect(await problemsOf(account)).toEqual(["half_settled 4..4"]);
    await stage.billing.redis.xdel(key(account), await newestId(account));
    expect(await problemsOf(account)).toEqual(["gap 4..4", "half_settled -..-"]);
  });

  test("Section 2: pending, unread and dead-lettered links are named and are no problem; acked and unwritten ones are", async () => {
    const account = await settledAccount(2);
    await charge(stage.billing, aCharge(account, UNIT));
    await readAs(account, "older-worker");
    await stage.billing.redis.xack(key(account), "billing_workers", await newestId(account));
    await charge(stage.billing, aCharge(account, 2n * UNIT));
    await readAs(account, "worker-1");
    await stage.query(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, deduction_id, account_id, cost, account_seq, balance_before, balance_after,
           error_class, error_message)
       SELECT $2, $3, '\\x00', '{}', 'ded_dead', $1, 2, 5, 97, 95, 'test', 'test'`,
      [account.id, key(account), await newestId(account)],
    );
    await charge(stage.billing, aCharge(account, 3n * UNIT));
    await readAs(account, "worker-1");
    await charge(stage.billing, aCharge(account, 4n * UNIT));
    expect(await problemsOf(account)).toEqual(["unaccounted 4..4"]);
    expect((await reportOf(account)).open).toEqual({
      unaccounted: { links: 1, amount: "-1.000000000" },
      dead_lettered: { links: 1, amount: "-2.000000000" },
      pending: { links: 1, amount: "-3.000000000" },
      unread: { links: 1, amount: "-4.000000000" },
    });
  });
});

describe("verify-chain over all", () => {
  test("Section 2: one run finds exactly the accounts that were broken", async () => {
    const verification = await verifyChain(stage.billing);
    expect(verification.ok).toBe(false);
    const found = verification.reports.filter(({ ok }) => !ok).map(({ accountId }) => accountId);
    expect(found.toSorted()).toEqual([...broken.keys()].toSorted());
    expect(verification.broken).toBe(broken.size);
    expect(broken.size).toBeGreaterThan(12);
    expect(found).not.toContain(sound.id);
    const few = await verifyChain(stage.billing, { maxReports: 2 });
    expect(few).toMatchObject({ ok: false, broken: broken.size });
    expect(few.reports).toHaveLength(2);
  });
});
