import { randomUUID } from "node:crypto";
import {
  type AccountRef,
  type Billing,
  charge,
  closeBilling,
  consume,
  openBilling,
  shardOf,
  streamKey,
} from "@drawdown/billing";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./stage.ts";

let database: TestDatabase;
let redis: TestRedis;
let db: Db;
let billing: Billing;
let env: Record<string, string>;

beforeAll(async () => {
  [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  db = connectDb(database.url);
  billing = await openBilling({ redisUrl: redis.url, db });
  env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
});
afterAll(async () => {
  await closeBilling(billing);
  await closeDb(db);
  await redis?.stop();
  await database?.drop();
});

/** Runs a command with `--json`: its exit code and its one document. */
async function json(...args: string[]): Promise<{ code: number | null; answer: Record<string, unknown> }> {
  const { code, stdout, stderr } = await run([...args, "--json"], env);
  if (stdout === "") throw new Error(`${args.join(" ")} printed nothing: ${stderr}`);
  return { code, answer: JSON.parse(stdout) as Record<string, unknown> };
}

const balanceKeyOf = ({ id, ownerId }: AccountRef) => `balance:{${streamKey(shardOf(id, 16))}}:user:${ownerId}`;

/** An account with 100, and five charges of 1, settled. */
async function settledAccount(): Promise<AccountRef> {
  const account = { id: randomUUID(), ownerId: randomUUID(), type: "user" as const, currency: "USD" };
  await db.$client.query("INSERT INTO data.user_profile (id, name) VALUES ($1, 'x')", [account.ownerId]);
  await db.$client.query("INSERT INTO data.account_balance (id, owner_userid, balance) VALUES ($1, $2, 100)", [
    account.id,
    account.ownerId,
  ]);
  await chargeAndSettle(account, 5);
  return account;
}

async function chargeAndSettle(account: AccountRef, times: number): Promise<void> {
  for (let i = 0; i < times; i++)
    await charge(billing, {
      account,
      virtualKey: "vk_test",
      requestId: randomUUID(),
      digest: "d",
      costNanos: 1_000_000_000n,
      provider: "openai",
      model: "gpt-4o",
      inputTokens: 1,
      outputTokens: 1,
      usageSource: "reported",
    });
  const stopping = new AbortController();
  const worker = consume({ billing, consumer: "worker-1", signal: stopping.signal });
  const stream = streamKey(shardOf(account.id, 16));
  await waitFor(
    async () => {
      const [newest] = await billing.redis.xrevrange(stream, "+", "-", "COUNT", 1);
      const sql = "SELECT 1 FROM data.account_balance_audit WHERE stream_key = $1 AND stream_entry_id = $2";
      return ((await db.$client.query(sql, [stream, newest?.[0]])).rowCount ?? 0) > 0;
    },
    { timeoutMs: 20_000, what: "the newest entry in the books" },
  );
  stopping.abort();
  await worker;
}

describe("drawdown reconcile, repair and verify-chain", () => {
  it("find one nano, say what a repair would do, repair it, and find nothing", async () => {
    const account = await settledAccount();
    expect(await json("reconcile")).toMatchObject({ code: 0, answer: { ok: true, accounts: 1, findings: [] } });
    expect(await json("verify-chain")).toMatchObject({
      code: 0,
      answer: { ok: true, accounts: 1, links: 6, problems: [] },
    });

    await billing.redis.hincrby(balanceKeyOf(account), "b", 1);
    const figures = {
      redis: { balance: "95.000000001", debits: "5.000000000" },
      expected: { balance: "95.000000000" },
      difference: { balance: "0.000000001", debits: "0.000000000" },
    };
    const found = { class: "foreign_write", account_id: account.id, figures };
    expect(await json("reconcile")).toMatchObject({ code: 1, answer: { ok: false, findings: [found] } });
    expect(await json("reconcile", "--account", account.ownerId)).toMatchObject({
      code: 1,
      answer: { findings: [found] },
    });
    expect(await json("verify-chain", "--account", account.id)).toMatchObject({
      code: 1,
      answer: { problems: [{ account_id: account.id, kind: "redis_end", from_seq: "6", to_seq: "6" }] },
    });
    const people = await run(["reconcile"], env);
    expect(people.code).toBe(1);
    expect(people.stdout).toContain("95.000000001");

    const planned = { plan: "repairable", link: { seq: "7", gain: "-0.000000001" } };
    expect(await json("repair", "--account", account.id, "--dry-run")).toMatchObject({
      code: 0,
      answer: { ...planned, dry_run: true, operation_id: null },
    });
    expect((await run(["repair", "--account", account.id, "--yes"], env)).stderr).toContain("A reason is needed");
    expect(await json("reconcile")).toMatchObject({ code: 1 });
    const repaired = await json(
      "repair",
      "--account",
      account.id,
      "--reason",
      "a hand in Redis",
      "--actor",
      "ann",
      "--yes",
    );
    expect(repaired).toMatchObject({ code: 0, answer: { outcome: "repaired", repaired: { seq: "7" } } });
    const { rows } = await db.$client.query(
      "SELECT actor, role, action, reason FROM data.operator_action WHERE id = $1",
      [repaired.answer["operation_id"]],
    );
    expect(rows).toEqual([{ actor: "ann", role: "admin", action: "repair", reason: "a hand in Redis" }]);
    expect(await json("reconcile")).toMatchObject({ code: 0, answer: { ok: true } });
    expect(await json("verify-chain", "--account", account.id)).toMatchObject({
      code: 0,
      answer: { ok: true, reports: [{ repairs: [{ seq: "7", actor: "ann" }] }] },
    });
    expect(await json("repair", "--account", account.id, "--reason", "again")).toMatchObject({
      code: 0,
      answer: { outcome: "unchanged", plan: "nothing", operation_id: null },
    });
  });

  it("accept a fork of exact seqs, show it, and refuse what is no break", async () => {
    const account = await settledAccount();
    await billing.redis.hset(balanceKeyOf(account), { b: "96000000000", d: "4000000000", q: "5" });
    await chargeAndSettle(account, 1);
    expect(await json("verify-chain", "--account", account.id)).toMatchObject({
      code: 1,
      answer: { broken: 1, problems: [{ kind: "fork", from_seq: "6" }] },
    });
    const accept = (seqs: string) =>
      json("accept", "--account", account.id, "--seqs", seqs, "--reason", "failover of May");
    expect(await accept("5-6")).toMatchObject({ code: 1, answer: { error: { code: "problem" } } });
    expect(await accept("6")).toMatchObject({
      code: 0,
      answer: { outcome: "accepted", breaks: [{ kind: "fork", from_seq: "6" }] },
    });
    expect(await accept("6")).toMatchObject({ code: 0, answer: { outcome: "already" } });
    expect(await json("verify-chain", "--account", account.id)).toMatchObject({
      code: 0,
      answer: { ok: true, reports: [{ accepted: [{ kind: "fork", from_seq: "6", reason: "failover of May" }] }] },
    });
    const people = await run(["verify-chain"], env);
    expect(people.stdout).toContain("accepted fork");
    expect(await json("repair", "--account", account.id, "--reason", "both branches are paid for")).toMatchObject({
      code: 0,
      answer: { outcome: "repaired", class: "fork" },
    });
    expect(await json("reconcile")).toMatchObject({ code: 0 });
  });

  it("refuse an unknown account and seqs that are none", async () => {
    const nobody = randomUUID();
    for (const command of [
      ["verify-chain"],
      ["reconcile"],
      ["repair", "--reason", "x"],
      ["accept", "--seqs", "1", "--reason", "x"],
    ])
      expect(await json(...command, "--account", nobody), command[0]).toMatchObject({
        code: 1,
        answer: { error: { code: "problem" } },
      });
    expect((await json("accept", "--account", nobody, "--seqs", "3..4", "--reason", "x")).answer).toMatchObject({
      error: { message: expect.stringContaining("--seqs must be") },
    });
  });
});
