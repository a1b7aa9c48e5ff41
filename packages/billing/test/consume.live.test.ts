import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { keepDeadLetter } from "../src/dead-letters.ts";
import {
  type AccountRef,
  charge,
  monitor,
  type ObservePoint,
  parseUnits,
  peekBalance,
  readBalance,
  shardOf,
  streamKey,
} from "../src/index.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const workerFile = fileURLToPath(new URL("./worker-process.ts", import.meta.url));

async function spawnWorker(consumer: string, point: ObservePoint | "none"): Promise<ChildProcess> {
  const child = spawn(process.execPath, [workerFile, stage.database.url, stage.redis.url, consumer, point], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout ?? child, "data");
  return child;
}

/** Each of the account's deductions stands once in the books, and the books agree with Redis. */
async function expectInBooksOnce(account: AccountRef, charges: number): Promise<void> {
  const [books] = await stage.query<{ rows: string; ids: string; moved: string }>(
    `SELECT count(*) AS rows, count(DISTINCT deduction_id) AS ids,
            (SELECT total_debits FROM data.account_balance WHERE id = $1) - sum(cost) AS moved
       FROM data.usage_log WHERE account_id = $1 AND settled_at IS NOT NULL`,
    [account.id],
  );
  expect(books).toEqual({ rows: String(charges), ids: String(charges), moved: "0.000000000" });
  expect(await chainProblems(stage, account)).toEqual([]);
}

describe("a worker that dies", () => {
  test.each(["consume.read", "settle.written", "settle.committed"] as const)(
    "Rule 5: SIGKILL at %s loses nothing and doubles nothing; the same worker started again reads its own pending entries first",
    async (point) => {
      const account = await stage.account("100");
      for (let i = 0; i < 20; i++) await charge(stage.billing, aCharge(account, 1_000_000_000n));
      const child = await spawnWorker("worker-1", point);
      const [, signal] = await once(child, "exit");
      expect(signal).toBe("SIGKILL");
      const [summary] = await stage.billing.redis.xpending(streamKey(shardOf(account.id, 16)), "billing_workers");
      expect(Number(summary)).toBe(21);
      const worker = stage.worker({ consumer: "worker-1" });
      await stage.atRest();
      await worker.stop();
      await expectInBooksOnce(account, 20);
    },
  );

  test("Rule 5: a dead consumer's entries are claimed by another within 15 s", async () => {
    const account = await stage.account("100");
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    const child = await spawnWorker("worker-dead", "settle.written");
    await once(child, "exit");
    const died = performance.now();
    const worker = stage.worker({ consumer: "worker-2", settings: { blockTimeMs: 5_000 } });
    await waitFor(
      async () => (await stage.query("SELECT 1 FROM data.usage_log WHERE settled_at IS NOT NULL")).length === 1,
      { timeoutMs: 15_000, what: "the dead worker's entry settled" },
    );
    expect(performance.now() - died).toBeLessThan(15_000);
    await stage.atRest();
    await worker.stop();
    const [row] = await stage.query("SELECT consumer, delivery_count FROM data.usage_log");
    expect(row).toEqual({ consumer: "worker-2", delivery_count: 2 });
    await expectInBooksOnce(account, 1);
  });

  test("Rule 4: what was given to a consumer that lives, by an answer that never came, is settled all the same", async () => {
    const account = await stage.account("100");
    const key = streamKey(shardOf(account.id, 16));
    const { redis } = stage.billing;
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    await redis.xgroup("CREATE", key, "billing_workers", "0");
    const taken = await redis.xreadgroup("GROUP", "billing_workers", "worker-2", "STREAMS", key, ">");
    const ids = (taken as [string, [string, string[]][]][])[0]?.[1].map(([id]) => id) ?? [];
    const worker = stage.worker({ consumer: "worker-1", settings: { claimIdleMs: 1_000, claimEveryMs: 60_000 } });
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    const settled = async () => (await stage.query("SELECT 1 FROM data.usage_log")).length === 1;
    await waitFor(settled, { timeoutMs: 15_000, what: "the worker to be past its own" });
    await redis.xclaim(key, "billing_workers", "worker-1", 0, ...ids, "JUSTID");
    await stage.atRest();
    await worker.stop();
    await expectInBooksOnce(account, 2);
  });

  test("Rule 5: a worker that only waits for Postgres is not taken for dead", async () => {
    const account = await stage.account("100");
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    // The account's row is locked: the first worker waits inside its transaction, alive.
    const blocker = await stage.db.$client.connect();
    await blocker.query("BEGIN");
    await blocker.query("SELECT FROM data.account_balance WHERE id = $1 FOR UPDATE", [account.id]);
    const settings = { claimIdleMs: 1_000, claimEveryMs: 200 };
    const first = stage.worker({ consumer: "worker-1", settings });
    const key = streamKey(shardOf(account.id, 16));
    await waitFor(async () => Number((await stage.billing.redis.xpending(key, "billing_workers"))[0]) === 2, {
      timeoutMs: 5_000,
      what: "the entries at worker-1",
    });
    const second = stage.worker({ consumer: "worker-2", settings });
    const idle = async () =>
      Number((await stage.billing.redis.xpending(key, "billing_workers", "-", "+", 1)).flat()[2]);
    await waitFor(async () => (await idle()) > 3_000, {
      timeoutMs: 10_000,
      what: "entries three times as old as a dead consumer's",
    });
    const [owner] = await stage.billing.redis.xpending(key, "billing_workers", "-", "+", 1);
    expect(Array.isArray(owner) && owner[1]).toBe("worker-1");
    await blocker.query("COMMIT");
    blocker.release();
    await stage.atRest();
    await Promise.all([first.stop(), second.stop()]);
    await expectInBooksOnce(account, 1);
  });
});

describe("entries that cannot settle", () => {
  const good = (account: AccountRef, n: number): Record<string, string> => ({
    deduction_id: `ded_good_${n}`,
    account_id: account.id,
    account_type: "user",
    virtual_key: "vk_old",
    cost: "0.01",
    currency: "usd",
    provider: "openai",
    model: "gpt-4o",
    input_tokens: "3",
    output_tokens: "4",
    timestamp: "2026-01-02T03:04:05.678Z",
  });
  const add = async (account: AccountRef, fields: Record<string, string | Buffer>) =>
    String(
      await stage.billing.redis.call("XADD", streamKey(shardOf(account.id, 16)), "*", ...Object.entries(fields).flat()),
    );

  const without = (fields: Record<string, string>, name: string) =>
    Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name));
  const bad: [string, string, (fields: Record<string, string>) => Record<string, string | Buffer>][] = [
    ["a missing field", "missing_field", (fields) => without(fields, "provider")],
    ["no deduction id", "missing_field", (fields) => without(fields, "deduction_id")],
    ["a negative cost", "invalid_cost", (fields) => ({ ...fields, cost: "-0.01" })],
    ["a NaN cost", "invalid_cost", (fields) => ({ ...fields, cost: "NaN" })],
    [
      "an unknown account",
      "unknown_account",
      (fields) => ({ ...fields, account_id: "00000000-0000-4000-8000-000000000000" }),
    ],
    ["a 300-digit number", "invalid_cost", (fields) => ({ ...fields, cost: "9".repeat(300) })],
    ["300 digits of tokens", "invalid_tokens", (fields) => ({ ...fields, input_tokens: "9".repeat(300) })],
    ["invalid UTF-8", "invalid_utf8", (fields) => ({ ...fields, model: Buffer.from([0x67, 0xff, 0xfe]) })],
    ["a NUL", "invalid_text", (fields) => ({ ...fields, model: "gpt\0" })],
    ["an over-long string", "text_too_long", (fields) => ({ ...fields, model: "m".repeat(513) })],
    ["a wrong account type", "invalid_account_type", (fields) => ({ ...fields, account_type: "team" })],
    ["a timestamp that is none", "invalid_timestamp", (fields) => ({ ...fields, timestamp: "yesterday" })],
    ["another currency", "currency_mismatch", (fields) => ({ ...fields, currency: "EUR" })],
    ["an unknown kind", "invalid_kind", (fields) => ({ ...fields, kind: "bonus" })],
  ];

  test.each(bad)(
    "Rule 4: %s beside 49 good entries is kept as a dead letter with its bytes and the reason; the good ones settle, nothing is pending",
    async (_title, errorClass, spoil) => {
      const account = await stage.account("100");
      const fields = spoil(good(account, 99));
      let badId = "";
      for (let n = 0; n < 49; n++) {
        await add(account, good(account, n));
        if (n === 20) badId = await add(account, fields);
      }
      const worker = stage.worker({ settings: { retryDelayMs: 100 } });
      await stage.atRest();
      await worker.stop();
      const [settled] = await stage.query("SELECT count(*) AS n FROM data.usage_log WHERE settled_at IS NOT NULL");
      expect(settled).toEqual({ n: "49" });
      const letters = await stage.query<{
        stream_entry_id: string;
        error_class: string;
        error_message: string;
        raw: Buffer;
        attempts: number;
      }>("SELECT stream_entry_id, error_class, error_message, raw, attempts FROM data.dead_letter");
      expect(letters).toHaveLength(1);
      expect(letters[0]).toMatchObject({
        stream_entry_id: badId,
        error_class: errorClass,
        attempts: errorClass === "unknown_account" ? 3 : 1,
      });
      expect(letters[0]?.error_message).toBeTruthy();
      for (const value of Object.values(fields)) expect(letters[0]?.raw.includes(value)).toBe(true);
    },
  );

  test("Rule 4: when more than a tenth of a large batch fails with a database error the shard waits, an alert opens, and nothing is dead-lettered", async () => {
    const account = await stage.account("100");
    const ghost = {
      id: "00000000-0000-4000-8000-00000000000f",
      ownerId: "00000000-0000-4000-8000-000000000001",
      type: "user" as const,
      currency: "USD",
    };
    for (let n = 0; n < 200; n++)
      await add(account, n % 5 === 0 ? { ...good(account, n), account_id: ghost.id } : good(account, n));
    const worker = stage.worker({ settings: { retryDelayMs: 10 } });
    await waitFor(
      async () =>
        (await stage.query("SELECT 1 FROM data.alert WHERE kind = 'poison_rate' AND resolved_at IS NULL")).length === 1,
      { timeoutMs: 10_000, what: "the alert poison_rate" },
    );
    await waitFor(async () => (await stage.query("SELECT 1 FROM data.usage_log")).length === 160, {
      timeoutMs: 10_000,
      what: "the good ones settled",
    });
    // The missing account appears (a half-restored table is complete again): the shard goes on by itself.
    await stage.query("INSERT INTO data.user_profile (id, email, name) VALUES ($1, 'g@example.test', 'g')", [
      ghost.ownerId,
    ]);
    await stage.query(
      "INSERT INTO data.account_balance (id, owner_userid, currency, balance) VALUES ($1, $2, 'USD', 10)",
      [ghost.id, ghost.ownerId],
    );
    await waitFor(async () => (await stage.query("SELECT 1 FROM data.usage_log")).length === 200, {
      timeoutMs: 15_000,
      what: "all of them settled",
    });
    await waitFor(
      async () =>
        (await stage.query("SELECT 1 FROM data.alert WHERE kind = 'poison_rate' AND resolved_at IS NULL")).length === 0,
      { timeoutMs: 5_000, what: "the alert resolved" },
    );
    await worker.stop();
    expect(await stage.query("SELECT 1 FROM data.dead_letter")).toEqual([]);
  });

  const nobody = "00000000-0000-4000-8000-00000000000f";
  const pendingOf = async (account: AccountRef) =>
    Number((await stage.billing.redis.xpending(streamKey(shardOf(account.id, 16)), "billing_workers"))[0]);
  const brakes = async () =>
    await stage.query("SELECT 1 FROM data.alert WHERE kind = 'poison_rate' AND resolved_at IS NULL");
  /** A worker that has tried every entry once and keeps what failed, until it is stopped. */
  const tryOnce = async (account: AccountRef, failing: number) => {
    const worker = stage.worker({ settings: { retryDelayMs: 60_000 } });
    await waitFor(
      async () =>
        (await pendingOf(account)) === failing && (await stage.query("SELECT 1 FROM data.usage_log")).length > 0,
      {
        timeoutMs: 20_000,
        what: `${failing} failing entries pending`,
      },
    );
    await worker.stop();
  };

  test("Rule 4: more than a hundred failing entries that were pending at a start brake nothing: they were tried before, and become dead letters", async () => {
    const account = await stage.account("100");
    const entry = (n: number) => (n % 11 === 0 ? { ...good(account, n), account_id: nobody } : good(account, n));
    await Promise.all(Array.from({ length: 1_430 }, (_, n) => add(account, entry(n))));
    await tryOnce(account, 130);
    expect(await brakes()).toEqual([]);
    // One of them is a dead letter already: its worker died before the ack.
    const [stream, shard] = [streamKey(shardOf(account.id, 16)), shardOf(account.id, 16)];
    const [first] = await stage.billing.redis.xrangeBuffer(stream, "-", "+", "COUNT", 1);
    if (!first) throw new Error("the stream is empty");
    const raw = { shard, entryId: first[0].toString(), deliveryCount: 1, fields: first[1] };
    await keepDeadLetter(stage.billing, raw, { errorClass: "unknown_account", message: "as before", attempts: 3 });
    const worker = stage.worker({ settings: { retryDelayMs: 50 } });
    await stage.drained();
    await worker.stop();
    expect(await stage.query("SELECT kind FROM data.alert WHERE kind = 'poison_rate'")).toEqual([]);
    const letters = await stage.query(
      "SELECT attempts, count(*) AS n FROM data.dead_letter GROUP BY attempts ORDER BY attempts",
    );
    expect(letters).toEqual([
      { attempts: 3, n: "129" },
      { attempts: 4, n: "1" },
    ]);
  });

  test("Rule 4: who goes on with the entries of a shard that waits, waits as well; when they are gone by another way the alert closes without a worker", async () => {
    const account = await stage.account("100");
    // Of another shard: nothing new is read from one that waits.
    let marker = await stage.account("100");
    while (shardOf(marker.id, 16) === shardOf(account.id, 16)) marker = await stage.account("100");
    const entry = (n: number) => (n % 5 === 0 ? { ...good(account, n), account_id: nobody } : good(account, n));
    await Promise.all(Array.from({ length: 200 }, (_, n) => add(account, entry(n))));
    await tryOnce(account, 40);
    expect(await brakes()).toHaveLength(1);
    const worker = stage.worker({ settings: { retryDelayMs: 1 } });
    // Rounds of the new worker, more than it takes to make a dead letter of what it tries again.
    for (let n = 0; n < 5; n++) {
      await add(marker, good(marker, 1_000 + n));
      const sql = `SELECT 1 FROM data.usage_log WHERE deduction_id = 'ded_good_${1_000 + n}'`;
      await waitFor(async () => (await stage.query(sql)).length === 1, { timeoutMs: 10_000, what: "another round" });
    }
    await worker.stop();
    expect(await stage.query("SELECT 1 FROM data.dead_letter")).toEqual([]);
    await monitor(stage.billing, { confirmMs: 0 });
    expect(await brakes()).toHaveLength(1);
    const stream = streamKey(shardOf(account.id, 16));
    const pending = await stage.billing.redis.xpending(stream, "billing_workers", "-", "+", 100);
    await stage.billing.redis.xack(stream, "billing_workers", ...pending.map((row) => String((row as string[])[0])));
    await monitor(stage.billing, { confirmMs: 0 });
    expect(await brakes()).toEqual([]);
  });

  test("Rule 3: the same deduction delivered again is settled once; the same id with another cost is a dead letter", async () => {
    const account = await stage.account("100");
    await add(account, good(account, 1));
    await add(account, good(account, 1));
    await add(account, { ...good(account, 1), cost: "0.02" });
    const worker = stage.worker();
    await stage.atRest();
    await add(account, good(account, 1));
    await stage.atRest();
    await worker.stop();
    expect(await stage.query("SELECT cost FROM data.usage_log")).toEqual([{ cost: "0.010000000" }]);
    expect(await stage.query("SELECT error_class FROM data.dead_letter")).toEqual([{ error_class: "duplicate_id" }]);
  });

  test("Rule 9: balances that are missing, no numbers, or do not add up are settled and flagged", async () => {
    const account = await stage.account("100");
    await add(account, { ...good(account, 1), balance_before: "5", balance_after: "4" });
    await add(account, { ...good(account, 2), balance_before: "five", balance_after: "4" });
    await add(account, { ...good(account, 3), metadata: "not json" });
    await add(account, { ...good(account, 4), metadata: '{"a":"\\u0000"}' });
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    expect(
      await stage.query(
        "SELECT balance_before, balance_check, metadata_json FROM data.usage_log ORDER BY deduction_id",
      ),
    ).toEqual([
      { balance_before: "5.000000000", balance_check: "mismatch", metadata_json: {} },
      { balance_before: null, balance_check: "missing", metadata_json: {} },
      { balance_before: null, balance_check: "missing", metadata_json: "not json" },
      { balance_before: null, balance_check: "missing", metadata_json: '{"a":"\\u0000"}' },
    ]);
  });

  test("Section 2: entries exactly as older producers write them settle with NULL balances, also on a loaded account, and Redis and Postgres agree", async () => {
    const account = await stage.account("100");
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    const listener = stage.listener();
    const worker = stage.worker();
    await add(account, { ...good(account, 1), cost: "0.0012000000000000001" });
    await add(account, { ...good(account, 2), cost: "1.5e-7" });
    await charge(stage.billing, aCharge(account, 1_000_000_000n));
    const expected = parseUnits("98") - 1_200_150n;
    await waitFor(async () => (await peekBalance(stage.billing, account))?.balanceNanos === expected, {
      timeoutMs: 5_000,
      what: "the older producer's deductions in Redis",
    });
    await stage.atRest();
    await Promise.all([listener.stop(), worker.stop()]);
    const rows = await stage.query(
      "SELECT cost, balance_before, balance_after, balance_check, currency FROM data.usage_log WHERE account_seq IS NULL ORDER BY deduction_id",
    );
    expect(rows).toEqual([
      { cost: "0.001200000", balance_before: null, balance_after: null, balance_check: "missing", currency: "usd" },
      { cost: "0.000000150", balance_before: null, balance_after: null, balance_check: "missing", currency: "usd" },
    ]);
    const [credit] = await stage.query(
      "SELECT sum(amount) AS amount, max(audit_category) AS category FROM data.account_balance_audit WHERE source = 'older_producer'",
    );
    expect(credit).toEqual({ amount: "-0.001200150", category: "adjustment" });
    expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(expected);
    expect(await chainProblems(stage, account)).toEqual([]);
  });

  test("Section 2: a row that an older worker wrote without moving the balance is completed when its entry is delivered", async () => {
    const account = await stage.account("100");
    const outcome = await charge(stage.billing, aCharge(account, 1_500_000_000n));
    if (outcome.outcome !== "charged") throw new Error(outcome.outcome);
    await stage.query(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at, input_tokens, output_tokens, metadata_json, sync_status)
       VALUES ($1, 'vk_test', $2, 'user', 'openai', 'gpt-4o', 1.5, 'USD', now(), 10, 5, '{}', 'completed') ON CONFLICT (deduction_id) DO NOTHING`,
      [outcome.deductionId, account.id],
    );
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    await expectInBooksOnce(account, 1);
  });
});
