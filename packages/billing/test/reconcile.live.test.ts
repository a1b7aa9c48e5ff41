import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AccountRef, applyCredit, charge, proveAll, reconcile, shardOf, streamKey } from "../src/index.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

async function settleAll(): Promise<void> {
  const worker = stage.worker();
  await stage.drained();
  await worker.stop();
  await proveAll(stage.billing);
}

async function settledAccount(charges = 5): Promise<AccountRef> {
  const account = await stage.account("100");
  for (let i = 0; i < charges; i++) await charge(stage.billing, aCharge(account, UNIT));
  await settleAll();
  return account;
}

const streamOf = (account: AccountRef) => streamKey(shardOf(account.id, 16));
const balanceKeyOf = (account: AccountRef) => `balance:{${streamOf(account)}}:${account.type}:${account.ownerId}`;
const newestId = async (account: AccountRef) =>
  (await stage.billing.redis.xrevrange(streamOf(account), "+", "-", "COUNT", 1))[0]?.[0] ?? "";

/** An older worker reads the newest entries and acks them without a word. */
async function ackUnwritten(account: AccountRef): Promise<void> {
  const { redis } = stage.billing;
  await redis.xreadgroup("GROUP", "billing_workers", "older-worker", "COUNT", 100, "STREAMS", streamOf(account), ">");
  await redis.xack(streamOf(account), "billing_workers", await newestId(account));
}

/** What a run over this account alone finds, and that a run over all finds the same of it. */
async function findingsOf(account: AccountRef) {
  const { findings, ok } = await reconcile(stage.billing, { account });
  const all = await reconcile(stage.billing);
  expect(all.findings.filter(({ accountId }) => accountId === account.id)).toEqual(findings);
  expect(ok).toBe(findings.length === 0);
  return findings;
}

const classesOf = async (account: AccountRef) => (await findingsOf(account)).map((finding) => finding.class);

describe("reconcile names what is wrong", () => {
  test("Section 2: nothing on accounts with links settled, in flight, pending and dead-lettered, and credits not applied yet", async () => {
    const account = await settledAccount();
    await charge(stage.billing, aCharge(account, UNIT));
    await stage.billing.redis.xreadgroup(
      ...(["GROUP", "billing_workers", "worker-1", "COUNT", 100, "STREAMS", streamOf(account), ">"] as const),
    );
    await stage.query(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, deduction_id, account_id, cost, account_seq, error_class, error_message)
       VALUES ($2, $3, '\\x00', '{}', 'ded_dead', $1, 1, 7, 'test', 'test')`,
      [account.id, streamOf(account), await newestId(account)],
    );
    await charge(stage.billing, aCharge(account, UNIT));
    await stage.query("SELECT data.post_credit($1, 5, 'top_up', NULL, 'test', 'test')", [account.id]);
    const { open, findings } = await reconcile(stage.billing, { account });
    expect(findings).toEqual([]);
    expect(open).toEqual({
      dead_lettered: { entries: 1, amount: "-1.000000000" },
      unread: { entries: 1, amount: "-1.000000000" },
    });
    await stage.query("DELETE FROM data.dead_letter");
    await settleAll();
  });

  test("Section 2: foreign write: one nano added to the balance in Redis is found by the next run, in decimal strings", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hincrby(balanceKeyOf(account), "b", 1);
    expect(await findingsOf(account)).toMatchObject([
      {
        class: "foreign_write",
        accountId: account.id,
        ownerId: account.ownerId,
        figures: {
          seq: "6",
          redis: { balance: "95.000000001", debits: "5.000000000" },
          expected: { balance: "95.000000000", debits: "5.000000000" },
          difference: { balance: "0.000000001", debits: "0.000000000" },
        },
      },
    ]);
    // The next charge makes it a link of the chain: the class stays.
    await charge(stage.billing, aCharge(account, UNIT));
    expect(await classesOf(account)).toEqual(["foreign_write"]);
  });

  test("Section 2: foreign write: the debits, the limit, the status, a key that is no account, an account in another shard", async () => {
    const { redis } = stage.billing;
    const plant: [string, string][] = [
      ["d", "5000000001"],
      ["l", "1"],
      ["s", "frozen"],
      ["c", "EUR"],
      ["b", "many"],
    ];
    for (const [field, value] of plant) {
      const account = await settledAccount(5);
      await redis.hset(balanceKeyOf(account), field, value);
      expect(await classesOf(account), field).toEqual(["foreign_write"]);
      await redis.del(balanceKeyOf(account));
    }
    const account = await settledAccount(1);
    const { shard } = { shard: (shardOf(account.id, 16) + 1) % 16 };
    const elsewhere = `balance:{${streamKey(shard)}}:user:${account.ownerId}`;
    await redis.hset(elsewhere, await redis.hgetall(balanceKeyOf(account)));
    await redis.set("balance:{stream:deductions:0}:user:somebody", "1");
    await redis.set(balanceKeyOf(account), "1");
    const { findings } = await reconcile(stage.billing);
    const found = findings.map(({ class: c, message }) => `${c}: ${message}`);
    expect(found).toContain("foreign_write: this account belongs to another shard");
    expect(found).toContain("foreign_write: the key balance:{stream:deductions:0}:user:somebody is no account's");
    expect(found).toContain("foreign_write: what Redis has under the account's key is no account");
    await redis.del(elsewhere, balanceKeyOf(account), "balance:{stream:deductions:0}:user:somebody");
  });

  test("Section 2: Redis lost state: an account that is behind the books, though the equation holds", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hset(balanceKeyOf(account), { b: "97000000000", d: "3000000000", q: "4" });
    expect(await findingsOf(account)).toMatchObject([
      { class: "redis_lost_state", message: "Redis is at seq 4, the books have link 6" },
    ]);
  });

  test("Section 2: Redis lost state: the entry of a deduction is nowhere", async () => {
    const account = await settledAccount();
    await charge(stage.billing, aCharge(account, 2n * UNIT));
    await stage.billing.redis.xdel(streamOf(account), await newestId(account));
    expect(await findingsOf(account)).toMatchObject([
      {
        class: "redis_lost_state",
        figures: { difference: { balance: "-2.000000000", debits: "2.000000000" } },
      },
    ]);
  });

  test("Section 2: fork: Redis went back and gave seqs again", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hset(balanceKeyOf(account), { b: "97000000000", d: "3000000000", q: "4" });
    for (let i = 0; i < 3; i++) await charge(stage.billing, aCharge(account, UNIT));
    await settleAll();
    expect(await findingsOf(account)).toMatchObject([
      { class: "fork", figures: { difference: { balance: "2.000000000", debits: "-2.000000000" } } },
    ]);
  });

  test("Section 2: an unaccounted entry is a finding although the equation holds", async () => {
    const account = await settledAccount();
    await charge(stage.billing, aCharge(account, UNIT));
    await ackUnwritten(account);
    expect(await findingsOf(account)).toMatchObject([
      {
        class: "unaccounted_entry",
        figures: null,
        entryCount: 1,
        entries: [{ standing: "unaccounted", amount: "-1.000000000", entryId: await newestId(account) }],
      },
    ]);
    const { readStandingsOf, settle } = {
      ...(await import("../src/standing.ts")),
      ...(await import("../src/settle.ts")),
    };
    const standings = await readStandingsOf(stage.billing, shardOf(account.id, 16), [await newestId(account)]);
    await settle(
      stage.billing,
      standings.flatMap(({ entry }) => entry ?? []),
      "replay",
    );
    expect(await findingsOf(account)).toEqual([]);
  });

  test("Section 2: an unaccounted entry behind one that is pending is found too, and one that nobody can read", async () => {
    const account = await settledAccount(1);
    const { redis } = stage.billing;
    await charge(stage.billing, aCharge(account, UNIT));
    await redis.xreadgroup("GROUP", "billing_workers", "worker-1", "COUNT", 100, "STREAMS", streamOf(account), ">");
    await charge(stage.billing, aCharge(account, UNIT));
    await ackUnwritten(account);
    expect(await classesOf(account)).toEqual(["unaccounted_entry"]);
    await redis.xadd(streamOf(account), "*", "what", "is this");
    await ackUnwritten(account);
    const { findings } = await reconcile(stage.billing);
    expect(findings).toContainEqual(
      expect.objectContaining({
        class: "unaccounted_entry",
        accountId: null,
        message: "an acked entry cannot be read, and no dead letter keeps it",
      }),
    );
    await redis.xdel(streamOf(account), await newestId(account));
  });

  test("Section 2: a row that an older worker wrote counts as unaccounted, whether its entry is there or gone", async () => {
    const account = await settledAccount(2);
    const outcome = await charge(stage.billing, aCharge(account, UNIT));
    if (outcome.outcome !== "charged") throw new Error(outcome.outcome);
    await stage.query(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency)
       VALUES ($2, 'vk_test', $1, 'user', 'openai', 'gpt-4o', 1, 'USD')`,
      [account.id, outcome.deductionId],
    );
    expect(await classesOf(account), "unread: on its way").toEqual([]);
    await ackUnwritten(account);
    expect(await findingsOf(account)).toMatchObject([
      { class: "unaccounted_entry", entries: [{ standing: "half_settled" }] },
    ]);
    await stage.billing.redis.xdel(streamOf(account), await newestId(account));
    expect(await classesOf(account)).toEqual(["unaccounted_entry", "unaccounted_entry"]);
  });

  test("Section 2: Postgres went back: Redis has credits that the books do not", async () => {
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
    expect(await findingsOf(account)).toMatchObject([
      { class: "postgres_went_back", figures: { difference: { balance: "5.000000000" } } },
    ]);
  });

  test("Section 2: unknown: books that contradict themselves, and an account that they do not have", async () => {
    const account = await settledAccount();
    await stage.query(
      "UPDATE data.account_balance SET balance = balance - 1, total_debits = total_debits + 1 WHERE id = $1",
      [account.id],
    );
    expect(await findingsOf(account)).toMatchObject([
      { class: "unknown", message: expect.stringContaining("total_debits") },
    ]);
    const nobody = {
      id: account.id,
      ownerId: "00000000-0000-4000-8000-000000000001",
      type: "user" as const,
      currency: "USD",
    };
    await stage.billing.redis.hset(balanceKeyOf(nobody), {
      b: "1",
      h: "0",
      d: "0",
      q: "1",
      v: "1",
      l: "0",
      s: "active",
      c: "USD",
    });
    const { findings } = await reconcile(stage.billing);
    expect(findings.map(({ message }) => message)).toContain("Redis has an account that the books do not have");
  });
});
